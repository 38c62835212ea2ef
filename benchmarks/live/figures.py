"""Measured figures beside their targets, the table of a part, and the parts on disk."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.live.scoring import Score
from benchmarks.text_table import markdown_grid
from inference.files import read_json, write_json

FIGURES_FILE = "figures.json"

NOTE = (
    "Microphone: a PulseAudio null sink at 16 kHz, so that the server leaves the samples as they are. "
    "Stream: test clips in white noise at 20 dB SNR, pauses of 0.25 to 2 s. The end of speech is that of "
    "the file played, and the hangover is part of the delay. Accuracy of the clips: without noise. "
    "Strangers: one word each of people whom no model heard, pauses of 0.2 to 0.6 s, 30 dB SNR. Speech: "
    "recordings of other words by people, one after the other, pauses of 0.2 to 0.6 s. n: values behind a "
    "figure. Bold: misses its target."
)


@dataclass(frozen=True)
class Figure:
    """One cell of a table.

    Attributes:
        part: The part of the measurement it belongs to.
        backend: Whose it is; empty where it is nobody's.
        name: What was measured, the same words for every backend.
        unit: Its unit, empty for a count.
        most: The target: at most this; None where there is none.
        count: Values behind the figure, 1 for a single observation.
    """

    part: str
    backend: str
    name: str
    value: float
    unit: str
    most: float | None
    count: int = 1

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met, None without a target."""
        return None if self.most is None else self.value <= self.most


def score_figures(part: str, name: str, score: Score, most_lost: float | None = None) -> list[Figure]:
    """What became of the words of a stream; ``most_lost`` is the target of missed and merged, in per cent."""
    percent = 100 / score.labels
    rows = (
        ("missed", score.missed * percent, "%", most_lost),
        ("merged", score.merged * percent, "%", most_lost),
        ("duplicates", float(score.duplicates), "", 0.0),
        ("false digits in the pauses", float(score.false_digits), "", None),
        ("wrong", score.wrong * percent, "%", None),
        ("rejected", score.rejected * percent, "%", None),
        ("accuracy of the stream", score.hits * percent, "%", None),
    )
    return [Figure(part, name, what, value, unit, most, score.labels) for what, value, unit, most in rows]


def accuracy_loss(part: str, name: str, score: Score, clips: float, most: float | None) -> list[Figure]:
    """Accuracy of the clips themselves, and how far that of the stream lies below it, in points."""
    lost = 100 * (clips - score.hits / score.labels)
    return [
        Figure(part, name, "accuracy of the clips", 100 * clips, "%", None, score.labels),
        Figure(part, name, "accuracy of the stream below it", lost, "points", most, score.labels),
    ]


def figure_table(figures: Sequence[Figure]) -> list[str]:
    """Lines of a Markdown table of one part: figures down, backends across; bold misses its target."""
    backends = list(dict.fromkeys(figure.backend for figure in figures))
    names = list(dict.fromkeys(figure.name for figure in figures))
    by_place = {(figure.name, figure.backend): figure for figure in figures}
    rows = []
    for name in names:
        row = [by_place.get((name, backend)) for backend in backends]
        rows.append((name, _target(row), *map(_cell, row)))
    return markdown_grid((figures[0].part, "target", *(name or "all" for name in backends)), rows)


def _target(row: Sequence[Figure | None]) -> str:
    found = [figure for figure in row if figure is not None and figure.most is not None]
    targets = {f"<= {figure.most:g} {figure.unit}".strip() for figure in found}
    if len(targets) < 2:
        return "".join(targets) or "-"
    return ", ".join(f"<= {figure.most:g} {figure.backend}" for figure in found)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    value = f"{figure.value:.4g} {figure.unit}".strip()
    value = f"**{value}**" if figure.is_met is False else value
    return f"{value} (n {figure.count})" if figure.count > 1 else value


def read_parts(folder: Path) -> dict[str, Any]:
    """What was measured so far: part -> command, environment and figures.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = folder / FIGURES_FILE
    return dict(read_json(path)) if path.is_file() else {}


def write_part(folder: Path, part: str, figures: Sequence[Figure], command: str, environment: str) -> None:
    """Keeps the figures of a part, so that it need not be measured again."""
    content = {
        "command": command,
        "environment": environment,
        "figures": [dataclasses.asdict(figure) for figure in figures],
    }
    write_json(folder / FIGURES_FILE, read_parts(folder) | {part: content})


def summary(folder: Path, parts: Sequence[str]) -> tuple[str, list[Figure]]:
    """The tables of all parts that were measured, with their commands and machines.

    Args:
        parts: Their names in the order of the table.
    """
    figures: list[Figure] = []
    tables: list[str] = []
    notes = []
    found = read_parts(folder)
    for part in filter(found.__contains__, parts):
        measured = [Figure(**values) for values in found[part]["figures"]]
        figures += measured
        tables += [*figure_table(measured), ""] if measured else []
        notes.append(f"- {part}: `{found[part]['command']}` on {found[part]['environment']}")
    return "\n".join([*tables, NOTE, "", *notes, ""]), figures
