"""How the answers to files are written: lines for people, JSON for programs, a table for both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inference.live.engine.events import Word
    from inference.prediction import Answer

#: What is measured of one file that is recognised again and again.
LATENCY_NAMES = ("calls", "p50_ms", "p95_ms", "real_time_factor")


@dataclass(frozen=True)
class Line:
    """What is said of one file, or of one word in it.

    Attributes:
        answer: What was recognised, None where the file cannot be read.
        start_s: Where a word begins, None for a whole file.
        end_s: Where it ends.
        error: Why the file cannot be read.
        latency: What was measured, by ``LATENCY_NAMES``, None where it was not asked for.
    """

    answer: "Answer | None" = None
    start_s: float | None = None
    end_s: float | None = None
    error: str | None = None
    latency: Mapping[str, float] | None = None


def word_line(word: "Word") -> Line:
    """The line of a word in a file."""
    from inference.audio import SAMPLING_RATE

    start_s, end_s = (round(position / SAMPLING_RATE, 3) for position in (word.start, word.end))
    return Line(word.answer, start_s, end_s)


def as_record(path: Path, line: Line, segments: bool) -> dict[str, Any]:
    """One JSON line; every line has the same keys."""
    from inference.prediction import Prediction

    answer = line.answer
    prediction = answer.prediction if answer else Prediction(None)
    times = {"start_s": line.start_s, "end_s": line.end_s} if segments else {}
    return {
        "path": str(path),
        **times,
        "label": answer.label if answer else None,
        "score": prediction.score,
        "probabilities": (answer.probabilities if answer else None) or None,
        "hypothesis": prediction.hypothesis,
        "reason": (answer.reason if answer else None) or prediction.reason,
        "error": line.error,
        **(line.latency or {}),
    }


def as_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the CSV table: a record, its probabilities in a column for each label."""
    from inference.vocabulary import vocabulary

    probabilities = record["probabilities"] or {}
    columns = {f"probability_{label}": probabilities.get(label) for label in vocabulary().labels}
    return {name: value for name, value in record.items() if name != "probabilities"} | columns


def format_line(path: Path, line: Line, top_k: int = 0) -> str:
    """One line for people: path, times of a word, label, score, the best labels, and a raw text."""
    assert line.answer is not None
    answer, prediction = line.answer, line.answer.prediction
    fields = [str(path)]
    if line.start_s is not None:
        fields += [f"{line.start_s:.3f}", f"{line.end_s:.3f}"]
    fields += [answer.label or "-", "-" if prediction.score is None else f"{prediction.score:.3f}"]
    fields += [f"{label} {probability:.3f}" for label, probability in answer.top(top_k)]
    if prediction.hypothesis is not None:
        fields.append(repr(prediction.hypothesis))
    if answer.reason:
        fields.append(answer.reason)
    fields += [f"{name} {value:g}" for name, value in (line.latency or {}).items()]
    return "\t".join(fields)
