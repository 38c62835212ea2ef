"""Digits that belong together: a telephone or card number, said with pauses, as one string."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from inference.audio import SAMPLING_RATE
from inference.live.engine.events import (
    Answer,
    Cleared,
    DigitString,
    Event,
    Level,
    Lost,
    Partial,
    StateChange,
    Summary,
    Withdrawn,
)
from inference.live.output.terminal import Output

#: A word that was not understood, but was probably a digit; noise and other words are left out.
UNKNOWN = "?"
DOUBTFUL_REASONS = frozenset({"low_score", "clipped", "too_long", "stale", "backend_error"})
#: Within a string, a pause this long is written as a space.
PAUSE_MS = 450


@dataclass(frozen=True)
class StringSettings:
    """What a string looks like.

    Attributes:
        gap_ms: Silence that ends a string.
        length: Digits after which it ends at once, None for any number.
        luhn: Whether the last digit is a check digit after Luhn, as on bank cards.
    """

    gap_ms: int = 1500
    length: int | None = None
    luhn: bool = False


class Strings:
    """An output that collects digits, and shows a string whenever one grows or is finished.

    Args:
        settings: What a string looks like.
        outputs: Who is shown the strings.
    """

    def __init__(self, settings: StringSettings, outputs: Sequence[Output]):
        self._settings = settings
        self._outputs = outputs
        self._answers: list[Answer] = []
        self._is_speaking = False

    def show(self, event: Event) -> None:
        """Follows the answers, and the silence after them."""
        match event:
            case Answer() if event.digit is not None or event.reason in DOUBTFUL_REASONS:
                self._add(event)
            case StateChange():
                self._is_speaking = event.state == "speech"
            case Level() if self._answers and not self._is_speaking:
                if event.position - self._answers[-1].end >= self._samples(self._settings.gap_ms):
                    self._finish()
            case Withdrawn() if any(answer.id == event.id for answer in self._answers):
                self._answers = [answer for answer in self._answers if answer.id != event.id]
                self._show(Partial(self._text(), self._ids()))
            case Cleared():
                self._answers = []
            case Lost() | Summary():
                self._finish()

    def _add(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._show(Partial(self._text(), self._ids()))
        if len(self._answers) == self._settings.length:
            self._finish()

    def _finish(self) -> None:
        answers, length = self._answers, self._settings.length
        if not answers:
            return
        digits = "".join(map(_symbol, answers))
        string = DigitString(
            digits=digits,
            text=self._text(),
            ids=self._ids(),
            scores=tuple(answer.score for answer in answers),
            start=answers[0].start,
            end=answers[-1].end,
            length_ok=None if length is None else len(answers) == length,
            luhn_ok=is_luhn(digits) if self._settings.luhn else None,
        )
        self._answers = []
        self._show(string)

    def _text(self) -> str:
        text = _symbol(self._answers[0]) if self._answers else ""
        for previous, answer in itertools.pairwise(self._answers):
            pause = answer.start - previous.end >= self._samples(PAUSE_MS)
            text += f"{' ' * pause}{_symbol(answer)}"
        return text

    def _ids(self) -> tuple[int, ...]:
        return tuple(answer.id for answer in self._answers)

    def _show(self, event: Event) -> None:
        for output in self._outputs:
            output.show(event)

    @staticmethod
    def _samples(milliseconds: int) -> int:
        return milliseconds * SAMPLING_RATE // 1000


def _symbol(answer: Answer) -> str:
    return UNKNOWN if answer.digit is None else str(answer.digit)


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B).

    A string with a word that was not understood, or of one digit, has none.
    """
    if len(digits) < 2 or UNKNOWN in digits:
        return False
    values = [int(digit) for digit in reversed(digits)]
    doubled = (value * 2 - 9 if value > 4 else value * 2 for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0
