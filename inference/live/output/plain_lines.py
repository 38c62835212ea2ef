"""Plain lines for people in a pipe, JSON lines for programs, and what is said of each event."""

import os
from collections.abc import Sequence
from typing import Protocol, TextIO

from inference.audio import SAMPLING_RATE
from inference.errors import UserError
from inference.live.engine.events import (
    Asked,
    Cleared,
    DigitString,
    Event,
    Gap,
    Hint,
    Level,
    Lost,
    Ready,
    Recording,
    Recovered,
    Summary,
    Taken,
    Withdrawn,
    Word,
    to_json,
)
from inference.live.engine.voice_activity import SILENCE_DBFS

#: (level at most, for this many seconds, what to say); the first that applies is said.
SILENCE_HINTS = (
    (SILENCE_DBFS, 3.0, "the microphone delivers nothing but zeros: it is muted or blocked."),
    (-70.0, 10.0, "hardly any sound: raise the microphone's level, or choose another with --device."),
)


class Output(Protocol):
    """Anything that takes events: the screen, JSON lines, a recorder, a score."""

    def show(self, event: Event) -> None:
        """Takes the next event."""


class PlainOutput:
    """Labels, one a line, to one stream; everything else to another.

    Args:
        labels: Where labels go, None to leave them out.
        diagnostics: Where the rest goes.
        strings: Whether digits are to come as whole strings.
    """

    def __init__(self, labels: TextIO | None, diagnostics: TextIO, strings: bool = False):
        self._labels = labels
        self._diagnostics = diagnostics
        self._strings = strings

    def show(self, event: Event) -> None:
        """Writes the line of an event, if it has one, and flushes."""
        if isinstance(event, DigitString):
            _write(self._labels, event.digits)
            if self._labels is None or event.length_ok is False or event.luhn_ok is False:
                _write(self._diagnostics, describe(event))
        elif isinstance(event, Word) and event.answer.label is not None and not self._strings:
            _write(self._labels, event.answer.label)
        else:
            _write(self._diagnostics, describe(event))


class JsonLines:
    """One JSON object a line, flushed, for every event but levels.

    Args:
        stream: Where they go.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def show(self, event: Event) -> None:
        """Writes an event."""
        if not isinstance(event, Level):
            _write(self._stream, to_json(event))


class SilenceWatch:
    """An output that adds a hint when the microphone stays silent; once, until sound comes back.

    Args:
        outputs: Who is shown the hints.
    """

    def __init__(self, outputs: Sequence[Output]):
        self._outputs = outputs
        self._since: list[int | None] = [None] * len(SILENCE_HINTS)
        self._said = False

    def show(self, event: Event) -> None:
        """Follows the level events."""
        if not isinstance(event, Level):
            return
        for index, (most_dbfs, seconds, text) in enumerate(SILENCE_HINTS):
            if event.dbfs > most_dbfs:
                self._since[index] = None
                continue
            since = self._since[index]
            if since is None:
                self._since[index] = event.position
            elif event.position - since >= seconds * SAMPLING_RATE and not self._said:
                self._said = True
                for output in self._outputs:
                    output.show(Hint(text))
        if event.dbfs > SILENCE_HINTS[-1][0]:
            self._said = False


def describe(event: Event) -> str | None:
    """The line a person is given for an event, None where there is nothing to say."""
    match event:
        case Ready():
            backend = f" with {event.backend}" if event.backend else ""
            return (
                f"listening to {event.source} at {event.sampling_rate} Hz{backend} "
                f"({event.detector} detector); Ctrl-C ends"
            )
        case Word():
            return describe_word(event)
        case DigitString():
            return describe_string(event)
        case Withdrawn():
            return f"undone: answer {event.id}"
        case Cleared():
            return "cleared"
        case Recording():
            return f"recording to {event.path}" if event.path else "recording ended"
        case Asked():
            return event.text
        case Taken(problem=None):
            return f"kept {event.name}  {event.seconds:.2f} s  peak {event.peak_dbfs:.0f} dBFS"
        case Taken():
            return f"once more: {event.problem}"
        case Gap():
            return f"lost {1000 * event.num_samples / SAMPLING_RATE:.0f} ms of audio"
        case Lost():
            return f"microphone lost: {event.reason}"
        case Recovered():
            return f"microphone back after {event.seconds:.1f} s: {event.source} at {event.sampling_rate} Hz"
        case Hint():
            return f"hint: {event.text}"
        case Summary():
            return describe_summary(event)
    return None


def describe_word(word: Word) -> str:
    """A label with its runners-up and delay, or a reject with its reason."""
    answer = word.answer
    runners_up = "  ".join(f"{label} {probability:.2f}" for label, probability in word.top)
    evidence = runners_up or (answer.prediction.hypothesis or "")
    if answer.label is None:
        return f"\N{MIDDLE DOT}  {answer.reason}  {evidence}".rstrip()
    forced = "  forced" if answer.forced else ""
    return f"{answer.label}  {word.latency_ms['total']:4.0f} ms  {evidence}{forced}".rstrip()


def describe_string(string: DigitString) -> str:
    """The string, what is wrong with it, and the score of each digit."""
    marks = [
        f"{name} {'ok' if ok else 'WRONG'}"
        for name, ok in (("length", string.length_ok), ("check digit", string.luhn_ok))
        if ok is not None
    ]
    scores = " ".join("-" if score is None else f"{score:.2f}" for score in string.scores)
    return "  ".join(["=", string.text, *marks, f"[{scores}]"])


def describe_summary(summary: Summary) -> str:
    """Counts, losses and the delay by stage."""
    rejects = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.rejects.items()))
    lines = [
        f"{summary.digits} digits, {sum(summary.rejects.values())} rejects"
        f"{f' ({rejects})' if rejects else ''} in {summary.seconds:.1f} s of audio",
        f"lost: {1000 * summary.lost_samples / SAMPLING_RATE:.0f} ms; overflows: {summary.overflows}",
    ]
    if summary.latency_ms:
        lines.append("end of speech to digit, ms:")
        names = ("p50", "p95", "p99", "max")
        rows = {
            stage: [_short(figures[name]) for name in names] for stage, figures in summary.latency_ms.items()
        }
        lines += [
            f"{stage:14}" + "".join(f" {text:>4}" for text in texts)
            for stage, texts in ({"": list(names)} | rows).items()
        ]
    return "\n".join(lines)


def _short(milliseconds: float) -> str:
    """Four characters where they suffice: the table is to fit narrow terminals."""
    return f"{milliseconds:.1f}" if milliseconds < 99.95 else f"{milliseconds:.0f}"


def _write(stream: TextIO | None, line: str | None) -> None:
    if stream is not None and line is not None:
        write_line(stream, line)


def write_line(stream: TextIO, line: str) -> None:
    """Writes a line and flushes.

    Raises:
        BrokenPipeError: If the reader is gone.
        UserError: If the stream cannot take it, for example on a full disk.
    """
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still buffered would fail once more when the stream is closed, or at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise UserError(f"{stream.name} cannot be written: {error.strerror}.") from error
