"""A table as CSV, JSON, Markdown, LaTeX or aligned text; all of the same cells."""

import json
import re
from collections.abc import Sequence
from typing import Any

from benchmarks.reports.main_table import headline_protocol
from benchmarks.reports.report_tables import Report
from benchmarks.reports.table import Table, is_missing, shown
from benchmarks.run.records import RECORD_VERSION
from inference.transcripts import mapping_version

LATEX_SPECIALS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def csv(table: Table) -> str:
    """The whole frame in full precision; an empty cell is a missing value."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def document(report: Report) -> dict[str, Any]:
    """Everything as one JSON document, laid out as ``schemas/summary.json`` says."""
    run = report.records.run
    return {
        "v": RECORD_VERSION,
        "run": run["run"],
        "command": run["command"],
        "complete": run["complete"],
        "fixture": bool(report.fixtures),
        "headline_protocol": headline_protocol(run)["protocol"],
        "mapping_version": mapping_version(),
        "tables": {name: _table_document(table) for name, table in report.tables.items()},
    }


def json_text(content: Any) -> str:
    """A JSON document for people and programs."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _table_document(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "notes": list(table.notes),
        "columns": [str(name) for name in table.frame.columns],
        "rows": [
            {str(key): _plain(value) for key, value in row.items()} for row in table.frame.to_dict("records")
        ],
    }


def _plain(value: Any) -> Any:
    """A value of a frame as JSON knows it."""
    if is_missing(value):
        return None
    return value.item() if hasattr(value, "item") else value


def markdown(table: Table, keys: Sequence[str] | None = None) -> list[str]:
    """Lines: the table, its footnotes and its notes.

    Args:
        table: What to show.
        keys: The columns to show; all by default.
    """
    text = shown(table, keys)
    columns = [column for column in table.columns if keys is None or column.key in keys]
    numeric = [column.numeric for column in columns]
    rows = [
        [
            f"**{cell}**" if (number, column.key) in table.bold else cell
            for column, cell in zip(columns, row, strict=True)
        ]
        for number, row in enumerate(text.rows)
    ]
    lines = markdown_grid(text.headings, rows, numeric)
    if text.footnotes:
        lines += ["", *(f"- [{number}] {note}" for number, note in enumerate(text.footnotes, start=1))]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return lines


def markdown_grid(
    headings: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None
) -> list[str]:
    """Lines of a Markdown table, readable as plain text too.

    Args:
        headings: One per column.
        rows: The cells.
        numeric: Which columns are aligned to the right; all but the first by default.
    """
    numeric = numeric or _all_but_first(headings)
    escaped = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in (headings, *rows)]
    widths = [max(3, *map(len, cells)) for cells in zip(*escaped, strict=True)]
    rule = ["-" * (width - right) + ":" * right for width, right in zip(widths, numeric, strict=True)]
    first, *rest = align([rule, *escaped], numeric, separator=" | ")
    return [f"| {line} |" for line in [rest[0], first, *rest[1:]]]


def align(
    rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None, separator: str = "  "
) -> list[str]:
    """Lines of text with aligned columns, numbers to the right; all but the first by default."""
    numeric = numeric or _all_but_first(rows[0])
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        separator.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        for row in rows
    ]


def _all_but_first(cells: Sequence[str]) -> list[bool]:
    return [place > 0 for place in range(len(cells))]


def latex(table: Table, watermark: str | None = None) -> str:
    """A ``tabular`` with the footnotes below and the watermark above; needs no package."""
    text = shown(table)
    form = "".join("r" if column.numeric else "l" for column in table.columns)
    rows = [
        " & ".join(
            rf"\textbf{{{escape_latex(cell)}}}" if (number, column.key) in table.bold else escape_latex(cell)
            for column, cell in zip(table.columns, row, strict=True)
        )
        for number, row in enumerate(text.rows)
    ]
    notes = [
        *(f"[{number}] {note}" for number, note in enumerate(text.footnotes, start=1)),
        *table.notes,
    ]
    lines = [
        rf"% {_one_line(table.title)}",
        *([rf"\textbf{{{escape_latex(watermark)}}}\par"] if watermark else []),
        rf"\begin{{tabular}}{{{form}}}",
        r"\hline",
        " & ".join(escape_latex(heading) for heading in text.headings) + r" \\",
        r"\hline",
        *(rf"{row} \\" for row in rows),
        r"\hline",
        r"\end{tabular}",
        *(rf"\par {{\footnotesize {escape_latex(note)}}}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it; a leading bracket would be read as an option."""
    escaped = "".join(LATEX_SPECIALS.get(character, character) for character in _one_line(text))
    return re.sub(r"^\[", "{[}", escaped)


def _one_line(text: str) -> str:
    return " ".join(text.split())
