"""A measured figure beside its target."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.text_table import markdown_grid


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        part: The part of the measurement it belongs to.
        name: What was measured, and with what.
        value: The figure.
        unit: Its unit, empty for a count.
        most: The target: at most this; None where there is none.
        count: Values behind the figure, 1 for a single observation.
    """

    part: str
    name: str
    value: float
    unit: str
    most: float | None
    count: int = 1

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met, None without a target."""
        return None if self.most is None else self.value <= self.most


def figure_table(figures: Sequence[Figure]) -> list[str]:
    """Lines of a Markdown table."""
    verdicts = {True: "pass", False: "FAIL", None: "-"}
    rows = [
        (
            figure.part,
            figure.name,
            f"{figure.value:.4g} {figure.unit}".strip(),
            "-" if figure.most is None else f"<= {figure.most:g} {figure.unit}".strip(),
            str(figure.count),
            verdicts[figure.is_met],
        )
        for figure in figures
    ]
    return markdown_grid(("part", "figure", "measured", "target", "n", "verdict"), rows)
