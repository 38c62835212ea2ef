"""A report as JSON, Markdown and one HTML page: no request leaves it, pictures inside, tables that sort."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from benchmarks.measure.environment import environment_line
from benchmarks.records.run_record import Cell, RunSummary, SummaryTable
from benchmarks.reports.report_tables import Report
from benchmarks.reports.scores import headline_protocol
from benchmarks.reports.table import Table, is_missing, shown
from benchmarks.text_table import markdown_grid
from inference.backends.transcripts import mapping_version

if TYPE_CHECKING:
    from benchmarks.reports.picture import Picture


def summary(report: Report) -> RunSummary:
    """Every table of a report as one record."""
    run = report.records.run
    return RunSummary(
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


TEMPLATE = Path(__file__).with_name("page.html.jinja")
#: Picture -> the table below which it stands.
PLACES = {
    "unheard_curves": "unheard",
    "reliability": "unheard",
    "accuracy_latency": "main",
    "speakers": "speakers",
    "confusion": "confusion",
    "snr": "robustness_summary",
}


def page(report: Report, pictures: "Sequence[Picture]") -> str:
    """The whole page."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=False, keep_trailing_newline=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    placed: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        content = {"title": picture.title, "alt": picture.alt, "svg": Markup(_inline(picture))}
        placed.setdefault(PLACES[picture.name], []).append(content)
    return template.render(
        report=report,
        tables=[_content(table, placed.get(name, [])) for name, table in report.tables.items()],
        verdict=Markup("<p>%s</p>") % _bold(" ".join(report.verdict)),
        environment=environment_line(report.records.environment),
    )


def _bold(text: str) -> Markup:
    """Markdown's bold as an element; everything else is escaped."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))


def _content(table: Table, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    text = shown(table)
    rows = []
    for number, (cells, values) in enumerate(zip(text.rows, table.frame.to_dict("records"), strict=True)):
        rows.append(
            [
                {
                    "text": cell,
                    "numeric": column.numeric,
                    "bold": (number, column.key) in table.bold,
                    "value": None if is_missing(values[column.key]) else values[column.key],
                }
                for column, cell in zip(table.columns, cells, strict=True)
            ]
        )
    return {
        "name": table.name,
        "title": table.title,
        "headings": [(column.heading, column.numeric) for column in table.columns],
        "rows": rows,
        "footnotes": text.footnotes,
        "notes": table.notes,
        "pictures": pictures,
    }


def _inline(picture: "Picture") -> str:
    """The drawing as an element: what precedes it and its metadata mean nothing inside a page."""
    drawing = picture.svg().decode()
    drawing = drawing[drawing.index("<svg") :]
    return re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
