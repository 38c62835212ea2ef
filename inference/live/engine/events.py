"""What the live engine and its surroundings report: frozen records and their JSON form.

Positions count samples at 16 kHz from the start of the stream, never wall-clock time.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.vocabulary import vocabulary

if TYPE_CHECKING:
    from inference.prediction import Answer

SCHEMA_VERSION = 1
#: Candidates of an answer that are shown, if nobody says otherwise.
TOP = 3


@dataclass(frozen=True)
class Event:
    """Base of all records."""

    @property
    def type(self) -> str:
        """Name of the record in JSON lines."""
        return type(self).__name__.lower()

    def record(self) -> dict[str, Any]:
        """Its fields in JSON lines."""
        return asdict(self)


@dataclass(frozen=True)
class Ready(Event):
    """Audio is flowing."""

    source: str
    sampling_rate: int
    backend: str
    detector: str


@dataclass(frozen=True)
class StateChange(Event):
    """The engine is now in ``state``: ``listening``, ``speech``, or ``paused`` and deaf."""

    state: str
    position: int

    @property
    def type(self) -> str:
        """``state``."""
        return "state"


@dataclass(frozen=True)
class Level(Event):
    """Loudness now and of the background, about ten times a second; not part of the JSON lines."""

    position: int
    dbfs: float
    noise_dbfs: float


@dataclass(frozen=True)
class Utterance(Event):
    """One endpointed stretch of speech, before recognition; not part of the JSON lines.

    Attributes:
        id: Rises by one per utterance.
        start: First sample of detected speech.
        end: First sample after the detected speech.
        last_speech: First sample after the last frame that surely was speech.
        decided: First sample after the frame that made the end certain.
        reason: Why it is not to be recognised, None if it is.
        lead: Samples of the crop before ``start``.
        least_score: What the score of an uncalibrated classifier must reach: the less the detector takes it
            for speech, the more.
        waveform: The crop for the backend, float32 of shape ``(num_samples,)``.
    """

    id: int
    start: int
    end: int
    last_speech: int
    decided: int
    reason: str | None
    lead: int
    least_score: float
    waveform: np.ndarray = field(compare=False, repr=False)


@dataclass(frozen=True)
class Gap(Event):
    """Samples that never reached the engine; ``num_samples`` are missing before ``position``."""

    position: int
    num_samples: int


@dataclass(frozen=True)
class Word(Event):
    """An utterance with its one final answer: a label, or a reject with its reason.

    Attributes:
        id: The utterance's.
        answer: What the speaker is shown.
        start: First sample of detected speech.
        end: First sample after the detected speech.
        latency_ms: Stages between the end of speech and the printed line, and their ``total``.
        backend: Name of the backend.
        late: Whether it took longer than a speaker waits, because the backend is behind.
        top_k: Candidates to show.
    """

    id: int
    answer: "Answer"
    start: int
    end: int
    latency_ms: dict[str, float]
    backend: str
    late: bool = False
    top_k: int = TOP

    @property
    def top(self) -> tuple[tuple[str, float], ...]:
        """The candidates to show, best first."""
        return self.answer.top(self.top_k)

    @property
    def type(self) -> str:
        """``digit`` or ``reject``."""
        return "reject" if self.answer.label is None else "digit"

    def record(self) -> dict[str, Any]:
        """Flat; digits are numbers, and ``digit`` holds any other label too."""
        answer, symbol = self.answer, vocabulary().symbol
        return {
            "id": self.id,
            "digit": None if answer.label is None else symbol(answer.label),
            "score": answer.prediction.score,
            "top": [(symbol(label), probability) for label, probability in self.top],
            "reason": answer.reason,
            "forced": answer.forced,
            "hypothesis": answer.prediction.hypothesis,
            "start": self.start,
            "end": self.end,
            "latency_ms": self.latency_ms,
            "backend": self.backend,
            "late": self.late,
        }


@dataclass(frozen=True)
class Withdrawn(Event):
    """The speaker took an answer back."""

    id: int


@dataclass(frozen=True)
class Cleared(Event):
    """The speaker dropped the string under way."""


@dataclass(frozen=True)
class Partial(Event):
    """A string of digits under way; ``?`` stands for a word that was not understood."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class DigitString(Event):
    """A finished string of digits.

    Attributes:
        digits: What was heard; ``?`` stands for a word that was not understood.
        text: The same with a space at each short pause, as in ``555 0123``.
        ids: The answer behind each digit.
        scores: The backend's score for each, None where it has none.
        start: First sample of the first digit.
        end: First sample after the last digit.
        length_ok: Whether it has the expected length, None if any length will do.
        luhn_ok: Whether its Luhn check digit is right, None if none was asked for.
    """

    digits: str
    text: str
    ids: tuple[int, ...]
    scores: tuple[float | None, ...]
    start: int
    end: int
    length_ok: bool | None
    luhn_ok: bool | None

    @property
    def type(self) -> str:
        """``string``."""
        return "string"


@dataclass(frozen=True)
class Recording(Event):
    """What is heard is being written to ``path``; an empty one says that the recording ended."""

    path: str


@dataclass(frozen=True)
class Asked(Event):
    """The speaker is asked to say something, in a guided recording."""

    text: str


@dataclass(frozen=True)
class Taken(Event):
    """What was said to it.

    Attributes:
        name: The file that keeps it; empty where it is refused.
        problem: Why it is refused and what to do about it, None where it is kept.
        seconds: Length of the file.
        peak_dbfs: Its largest sample, in dB relative to full scale.
    """

    name: str
    problem: str | None
    seconds: float = 0.0
    peak_dbfs: float = 0.0


@dataclass(frozen=True)
class Lost(Event):
    """The microphone stopped delivering audio."""

    reason: str


@dataclass(frozen=True)
class Recovered(Event):
    """Audio flows again after ``seconds`` without it."""

    source: str
    sampling_rate: int
    seconds: float


@dataclass(frozen=True)
class Hint(Event):
    """Something the speaker should know."""

    text: str


@dataclass(frozen=True)
class Summary(Event):
    """The figures of a finished session.

    Attributes:
        seconds: Audio heard.
        digits: Labels printed.
        rejects: Rejects by reason.
        lost_samples: Samples that never reached the engine, at 16 kHz.
        overflows: Blocks that the sound system flagged as incomplete.
        latency_ms: Per stage ``n``, ``p50``, ``p95``, ``p99`` and ``max``.
    """

    seconds: float
    digits: int
    rejects: dict[str, int]
    lost_samples: int
    overflows: int
    latency_ms: dict[str, dict[str, float]]


def to_json(event: Event) -> str:
    """One line of JSON, without the newline; floats are rounded to what is meaningful."""
    fields = {name: value for name, value in event.record().items() if value is not None or name == "digit"}
    return json.dumps({"v": SCHEMA_VERSION, "type": event.type} | _rounded(fields))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_rounded(item) for item in value]
    return value
