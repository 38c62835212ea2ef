"""A table as CSV, JSON or Markdown; all of the same cells."""

from collections.abc import Sequence
from typing import Any

from benchmarks.records.layout import Cell, ReportSummary, SummaryTable
from benchmarks.reports.main_table import headline_protocol
from benchmarks.reports.report_tables import Report
from benchmarks.reports.table import Table, is_missing, shown
from benchmarks.text_table import markdown_grid
from inference.transcripts import mapping_version


def csv(table: Table) -> str:
    """The whole frame in full precision; an empty cell is a missing value."""
    return table.frame.to_csv(index=False, lineterminator="\n")


def summary(report: Report) -> ReportSummary:
    """Every table of a report as one record."""
    run = report.records.run
    return ReportSummary(
        run=run.run,
        command=run.command,
        complete=run.complete,
        fixture=bool(report.fixtures),
        headline_protocol=headline_protocol(run).protocol,
        mapping_version=mapping_version(),
        tables={name: _summary_table(table) for name, table in report.tables.items()},
    )


def _summary_table(table: Table) -> SummaryTable:
    rows = table.frame.to_dict("records")
    return SummaryTable(
        title=table.title,
        notes=tuple(table.notes),
        columns=tuple(str(name) for name in table.frame.columns),
        rows=tuple({str(key): _plain(value) for key, value in row.items()} for row in rows),
    )


def _plain(value: Any) -> Cell:
    """A value of a frame as JSON knows it."""
    if is_missing(value):
        return None
    plain: Cell = value.item() if hasattr(value, "item") else value
    return plain


def markdown(table: Table, keys: Sequence[str] | None = None, with_notes: bool = True) -> list[str]:
    """Lines: the table, its footnotes and its notes.

    Args:
        table: What to show.
        keys: The columns to show; all by default.
        with_notes: Whether its notes follow.
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
    notes = table.notes if with_notes else ()
    return [*lines, "", *(f"- {note}" for note in notes)] if notes else lines
