"""A measured figure beside its target, and the table of a part."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.live.scoring import Score
from benchmarks.text_table import markdown_grid


@dataclass(frozen=True)
class Figure:
    """One cell of a table.

    Attributes:
        part: The part of the measurement it belongs to.
        backend: Whose it is; empty where it is nobody's.
        name: What was measured, the same words for every backend.
        value: The figure.
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
