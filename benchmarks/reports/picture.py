"""What all pictures share: colours, markers, size, the watermark, and files that are the same every time."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

#: Colours that stay apart for colour-blind readers (M. Okabe and K. Ito, Color Universal Design, 2008; the
#: last three after P. Tol, Colour Schemes, 2021).
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    *("#882255", "#999933", "#88CCEE"),
)
MARKERS = "osD^vP*X"
RASTER_DPI = 150


@dataclass(frozen=True)
class Picture:
    """A drawn figure.

    Attributes:
        name: File name without its ending.
        title: Heading.
        alt: What a reader who cannot see it is told; holds the figures.
        figure: The drawing.
    """

    name: str
    title: str
    alt: str
    figure: Figure

    def svg(self) -> bytes:
        """As SVG, the same bytes every time."""
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
        """As PNG, the same bytes every time."""
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
