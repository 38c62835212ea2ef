"""A drawn figure and what all of them share: colours, watermark, panels, the same bytes every time."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Colours that stay apart for colour-blind readers (M. Okabe and K. Ito, Color Universal Design, 2008; the
#: last three after P. Tol, Colour Schemes, 2021).
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#882255", "#999933", "#88CCEE"),
)
MARKERS = "osD^vP*X"
RASTER_DPI = 150
#: Letters in a line of a legend, the handles' width in letters added to each name.
LEGEND_CHARACTERS = 100


@dataclass(frozen=True)
class Picture:
    """A drawn figure.

    Attributes:
        alt: What a reader who cannot see it is told; holds the figures.
        table: The table of the report below which a page shows it.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    table: str = "main"

    def svg(self) -> bytes:
        """As SVG, for a page; the same bytes every time."""
        # No date and fixed ids: the same figures give the same bytes.
        with mpl.rc_context({"svg.hashsalt": f"spoken-digits-{self.name}", "svg.fonttype": "none"}):
            buffer = io.BytesIO()
            self.figure.savefig(
                buffer,
                format="svg",
                metadata={"Date": None, "Creator": None, "Title": self.title, "Description": self.alt},
            )
        return buffer.getvalue()

    def png(self) -> bytes:
        """As PNG, for a file; the same bytes every time."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=RASTER_DPI, metadata={"Software": None})
        return buffer.getvalue()


def new_figure(watermark: str | None, width: float = 7.5, height: float = 4.5) -> Figure:
    """An empty figure, crossed by the watermark if there is one."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if watermark is not None:
        figure.text(
            0.5,
            0.5,
            "FIXTURE",
            rotation=25,
            fontsize=60,
            color="#D55E00",
            alpha=0.25,
            ha="center",
            va="center",
        )
    return figure


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each backend, the same in every picture."""
    return {
        name: {
            "color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
        }
        for place, name in enumerate(names)
    }


def panels(
    watermark: str | None,
    names: Sequence[str],
    size: tuple[float, float],
    most_columns: int,
    axis: tuple[str, str],
) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel for each name, whose axes are called on its outer edges only.

    Args:
        watermark: See ``new_figure``.
        size: Width and height of a panel in inches.
        most_columns: Panels side by side.
        axis: What the horizontal and the vertical axis is called.
    """
    columns = min(most_columns, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(watermark, width=max(size[0] * columns, 4.2), height=size[1] * lines + 0.3)
    made = {}
    for place, name in enumerate(names):
        made[name] = axes = figure.add_subplot(lines, columns, place + 1)
        axes.set_title(name, fontsize="small")
        if place % columns == 0:
            axes.set_ylabel(axis[1], fontsize="small")
        if place >= len(names) - columns:
            axes.set_xlabel(axis[0], fontsize="small")
    return figure, made


def add_legend(figure: Figure) -> None:
    """Puts one legend below all panels."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    columns = max(1, min(4, LEGEND_CHARACTERS // (max(map(len, handles)) + 6)))
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=columns, fontsize="small"
    )
