"""Digits that belong together: a telephone or card number, said with pauses, as one string."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from inference.audio import SAMPLING_RATE
from inference.live.engine.events import (
    Cleared,
    DigitString,
    Event,
    Level,
    Lost,
    Partial,
    StateChange,
    Summary,
    Withdrawn,
    Word,
)
from inference.live.output.plain_lines import Output

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
        self._words: list[Word] = []
        self._is_speaking = False

    def show(self, event: Event) -> None:
        """Follows the words, and the silence after them."""
        match event:
            case Word() if event.answer.label is not None or event.answer.reason in DOUBTFUL_REASONS:
                self._add(event)
            case StateChange():
                self._is_speaking = event.state == "speech"
            case Level() if self._words and not self._is_speaking:
                if event.position - self._words[-1].end >= self._samples(self._settings.gap_ms):
                    self._finish()
            case Withdrawn() if any(word.id == event.id for word in self._words):
                self._words = [word for word in self._words if word.id != event.id]
                self._show(Partial(self._text(), self._ids()))
            case Cleared():
                self._words = []
            case Lost() | Summary():
                self._finish()

    def _add(self, word: Word) -> None:
        self._words.append(word)
        self._show(Partial(self._text(), self._ids()))
        if len(self._words) == self._settings.length:
            self._finish()

    def _finish(self) -> None:
        words, length = self._words, self._settings.length
        if not words:
            return
        digits = "".join(map(_symbol, words))
        string = DigitString(
            digits=digits,
            text=self._text(),
            ids=self._ids(),
            scores=tuple(word.answer.prediction.score for word in words),
            start=words[0].start,
            end=words[-1].end,
            length_ok=None if length is None else len(words) == length,
            luhn_ok=is_luhn(digits) if self._settings.luhn else None,
        )
        self._words = []
        self._show(string)

    def _text(self) -> str:
        text = _symbol(self._words[0]) if self._words else ""
        for previous, word in itertools.pairwise(self._words):
            pause = word.start - previous.end >= self._samples(PAUSE_MS)
            text += f"{' ' * pause}{_symbol(word)}"
        return text

    def _ids(self) -> tuple[int, ...]:
        return tuple(word.id for word in self._words)

    def _show(self, event: Event) -> None:
        for output in self._outputs:
            output.show(event)

    @staticmethod
    def _samples(milliseconds: int) -> int:
        return milliseconds * SAMPLING_RATE // 1000


def _symbol(word: Word) -> str:
    return UNKNOWN if word.answer.label is None else word.answer.label


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B).

    A string with a word that was not understood, or of one digit, has none.
    """
    if len(digits) < 2 or UNKNOWN in digits:
        return False
    values = [int(digit) for digit in reversed(digits)]
    doubled = (value * 2 - 9 if value > 4 else value * 2 for value in values[1::2])
    return (sum(values[::2]) + sum(doubled)) % 10 == 0
