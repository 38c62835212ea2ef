"""The summary as tables for people: one list of columns, printed as plain text or as Markdown.

A missing figure is a dash with a footnote that says why, never a zero and never blank.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from benchmarks.summary import Summary
from benchmarks.uncertainty import least_samples

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of the main table.

    Attributes:
        heading: What it shows.
        unit: Second line of the heading.
        needs: Columns of the summary it is made of; one missing value makes a dash.
        show: The cell's text.
        missing: Why the value is missing though the backend ran.
        on_screen: Whether the terminal has room for it.
    """

    heading: str
    unit: str
    needs: tuple[str, ...]
    show: Callable[[Row], str]
    missing: str = "not measured"
    on_screen: bool = True


@dataclass
class Footnotes:
    """Numbered notes; the same text gets the same number."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """The mark of a note, which is added if it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


def main_columns(reference: str | None) -> list[Column]:
    """The columns of the main table.

    Args:
        reference: The backend that latency ratios refer to; None if nothing was timed.
    """
    return [
        Column("backend", "", ("backend",), lambda row: row["backend"]),
        Column(
            "accuracy %",
            "[95 % interval]",
            ("accuracy", "accuracy_low", "accuracy_high"),
            lambda row: (
                f"{_percent(row['accuracy'])} [{_percent(row['accuracy_low'])}, "
                f"{_percent(row['accuracy_high'])}]"
            ),
        ),
        Column("unmapped", "clips", ("unmapped",), lambda row: str(row["unmapped"])),
        Column("macro F1", "", ("macro_f1",), lambda row: f"{row['macro_f1']:.3f}", on_screen=False),
        _latency_column("p50", 0.5),
        _latency_column("p95", 0.95),
        Column(
            f"x {reference}",
            "[95 % interval]",
            ("latency_ratio", "latency_ratio_low", "latency_ratio_high"),
            lambda row: (
                f"{_digits(row['latency_ratio'])} [{_digits(row['latency_ratio_low'])}, "
                f"{_digits(row['latency_ratio_high'])}]"
            ),
            missing=f"a ratio needs {least_samples(0.5)} rounds in which both backends were timed",
            on_screen=False,
        ),
        Column(
            "real-time factor",
            "",
            ("real_time_factor",),
            lambda row: _digits(row["real_time_factor"]),
            on_screen=False,
        ),
        Column("load", "s", ("load_seconds",), lambda row: _digits(row["load_seconds"])),
        Column(
            "first call", "ms", ("first_call_ms",), lambda row: _digits(row["first_call_ms"]), on_screen=False
        ),
        Column(
            "params",
            "M",
            ("parameters",),
            lambda row: _digits(row["parameters"] / 1e6),
            missing="the backend cannot count its parameters",
        ),
        Column("disk", "MB", ("checkpoint_bytes",), lambda row: _digits(row["checkpoint_bytes"] / 1e6)),
        Column(
            "RSS",
            "MB",
            ("peak_rss_bytes",),
            lambda row: f"{row['peak_rss_bytes'] / 1e6:.0f}",
            missing="peak memory is read from /proc, which this system does not have",
        ),
        Column("note", "", (), _note),
    ]


def main_table(
    summary: Summary, footnotes: Footnotes, on_screen: bool
) -> tuple[list[Column], list[list[str]]]:
    """The main table as text.

    Args:
        summary: The figures.
        footnotes: Receives the reason of every dash.
        on_screen: Whether to leave out the columns that a terminal has no room for.

    Returns:
        The columns, and one list of cells per backend.
    """
    reference = summary.frame["reference_backend"].iloc[0]
    columns = main_columns(None if pd.isna(reference) else str(reference))
    chosen = [column for column in columns if column.on_screen or not on_screen]
    return chosen, [
        [_cell(column, row, footnotes) for column in chosen] for row in summary.frame.to_dict("records")
    ]


def align(rows: Sequence[Sequence[str]], separator: str = "  ") -> list[str]:
    """Lines of text with aligned columns, the first one to the left and the others to the right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        separator.join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def markdown_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, readable as plain text too."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (heading, *rows)]
    widths = [max(3, *map(len, cells)) for cells in zip(*escaped, strict=True)]
    rule = ["-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    first, *rest = align([rule, *escaped], separator=" | ")
    lines = [rest[0], first, *rest[1:]]
    return [f"| {line} |" for line in lines]


def _latency_column(name: str, quantile: float) -> Column:
    return Column(
        name,
        "ms",
        (f"latency_{name}_ms",),
        lambda row: _digits(row[f"latency_{name}_ms"]),
        missing=f"{name} needs {least_samples(quantile)} timed calls (--rounds)",
    )


def _cell(column: Column, row: Row, footnotes: Footnotes) -> str:
    if not any(pd.isna(row[name]) for name in column.needs):
        return column.show(row)
    if pd.isna(row["reason"]):
        return f"-{footnotes.mark(column.missing)}"
    fix = "" if pd.isna(row["fix"]) else f". {row['fix']}"
    return f"-{footnotes.mark(row['backend'] + ': ' + row['reason'].rstrip('.') + fix)}"


def _note(row: Row) -> str:
    parts = [row["status"]] if row["status"] != "ok" else []
    return ", ".join([*parts, *filter(None, [row["flags"]])])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _digits(value: float) -> str:
    """Three significant digits without an exponent; no measured value becomes a zero."""
    if 0 < value < 0.001:
        return "<0.001"
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"
