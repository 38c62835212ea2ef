"""A table: one frame of raw values, and how its columns are shown to people.

CSV and JSON hold the frame in full precision. Every other format shows the same rounded cells; a missing
value is a dash with a footnote that says why, never a zero and never blank.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from benchmarks.records.run_record import RunRecord

#: Columns that no format shows: why a row lacks its figures, and what would mend it.
REASON = "reason"


@dataclass(frozen=True)
class Column:
    """One column as people see it.

    Attributes:
        key: Column of the frame; ``{key}_low`` and ``{key}_high`` are its interval, if there is one.
        heading: What it is called, with its unit.
        missing: Why a value is missing though the backend ran.
    """

    key: str
    heading: str
    show: Callable[[Any], str] = str
    numeric: bool = True
    missing: str = "not measured"


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        frame: All values; may hold columns that nobody is shown, such as bounds and reasons.
    """

    name: str
    title: str
    columns: Sequence[Column]
    frame: pd.DataFrame
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.frame)


@dataclass
class Shown:
    """A table as text: cells and the footnotes that their dashes refer to."""

    headings: list[str]
    rows: list[list[str]]
    footnotes: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """The mark of a footnote, which is added if it is new."""
        if text not in self.footnotes:
            self.footnotes.append(text)
        return f"[{self.footnotes.index(text) + 1}]"


def shown(table: Table, keys: Sequence[str] | None = None, narrow: bool = False) -> Shown:
    """The cells of a table as text.

    Args:
        narrow: Whether only the first interval of a row is shown, where there is little room.
    """
    columns = [column for column in table.columns if keys is None or column.key in keys]
    result = Shown([column.heading for column in columns], [])
    for row in table.frame.to_dict("records"):
        first = next((column for column in columns if f"{column.key}_low" in row), None)
        result.rows.append([_cell(column, row, result, not narrow or column is first) for column in columns])
    return result


def _cell(column: Column, row: dict[Any, Any], result: Shown, with_interval: bool) -> str:
    value = row.get(column.key)
    if is_missing(value):
        reason = row.get(REASON)
        return f"-{result.mark(column.missing if is_missing(reason) else str(reason))}"
    text = column.show(value)
    low, high = row.get(f"{column.key}_low"), row.get(f"{column.key}_high")
    if not with_interval or is_missing(low) or is_missing(high):
        return text
    return f"{text} [{column.show(low)}, {column.show(high)}]"


def is_missing(value: Any) -> bool:
    """Whether a value of a frame is none."""
    return value is None or bool(pd.isna(value))


def table_of(
    name: str,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    notes: Sequence[str] = (),
) -> Table:
    """A table of rows; what a row does not say is missing, and keys without a column are for JSON."""
    keys = dict.fromkeys([*(column.key for column in columns), *(key for row in rows for key in row)])
    frame = pd.DataFrame([{key: row.get(key) for key in keys} for row in rows], columns=[*keys])
    return Table(name, title, columns, frame, notes)


def backend_rows(
    run: RunRecord, reasons: Mapping[str, str], cells: Callable[[str], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each backend.

    Args:
        reasons: Backend -> why it was not measured whole.
        cells: The further cells of a backend.
    """
    return [{"backend": name, REASON: reasons.get(name), **cells(name)} for name in run.backend_names]


def text_columns(*keys: str) -> list[Column]:
    """Columns of text that are called like their keys."""
    return [Column(key, key, numeric=False) for key in keys]


def percent(share: float) -> str:
    """A share in percent with one decimal."""
    return f"{100 * share:.1f}"


def points(share: float) -> str:
    """A signed difference of shares in percentage points."""
    return f"{100 * share:+.1f}"


def digits(value: float) -> str:
    """Three significant digits without an exponent; no measured value becomes a zero."""
    if 0 < value < 0.001:
        return "<0.001"
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def megabytes(num_bytes: float) -> str:
    """Bytes in units of 10^6."""
    return digits(num_bytes / 1e6)


def millions(count: float) -> str:
    """A count in units of 10^6."""
    return digits(count / 1e6)


def p_value(value: float) -> str:
    """A p-value; below .001 the digits say nothing."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def whole(value: float) -> str:
    """A count."""
    return f"{value:.0f}"
