"""A report as JSON, Markdown and one HTML page: no request leaves it, pictures inside, tables that sort."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from benchmarks.measure.environment import environment_line
from benchmarks.records.files import RECORD_VERSION
from benchmarks.reports.report_tables import Report
from benchmarks.reports.scores import headline_protocol
from benchmarks.reports.table import Table, is_missing, shown
from benchmarks.text_table import markdown_grid
from inference.backends.transcripts import mapping_version

if TYPE_CHECKING:
    from benchmarks.reports.picture import Picture


def summary(report: Report) -> str:
    """Every table of a report in full precision, as one JSON document."""
    run = report.records.run
    document = {
        "v": RECORD_VERSION,
        "run": run.run,
        "command": run.command,
        "complete": run.complete,
        "fixture": bool(report.fixtures),
        "headline_protocol": headline_protocol(run).protocol,
        "mapping_version": mapping_version(),
        "tables": {
            name: {
                "title": table.title,
                "notes": table.notes,
                "columns": [*table.frame.columns],
                "rows": [{key: _plain(value) for key, value in row.items()} for row in _rows(table)],
            }
            for name, table in report.tables.items()
        },
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _rows(table: Table) -> list[dict[Any, Any]]:
    return table.frame.to_dict("records")


def _plain(value: Any) -> Any:
    """A value of a frame as JSON knows it."""
    if is_missing(value):
        return None
    return value.item() if hasattr(value, "item") else value


def markdown(table: Table, keys: Sequence[str] | None = None, with_notes: bool = True) -> list[str]:
    """Lines: the table, its footnotes and its notes."""
    text = shown(table, keys)
    numeric = [column.numeric for column in table.columns if keys is None or column.key in keys]
    lines = markdown_grid(text.headings, text.rows, numeric)
    if text.footnotes:
        lines += ["", *(f"- [{number}] {note}" for number, note in enumerate(text.footnotes, start=1))]
    notes = table.notes if with_notes else ()
    return [*lines, "", *(f"- {note}" for note in notes)] if notes else lines


TEMPLATE = Path(__file__).with_name("page.html.jinja")


def page(report: Report, pictures: "Sequence[Picture]") -> str:
    """The whole page."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=False, keep_trailing_newline=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        report=report,
        pictures=pictures,
        shown=shown,
        rows_of=_rows,
        is_missing=is_missing,
        inline=_inline,
        verdict=Markup("<p>%s</p>") % _bold(" ".join(report.verdict)),
        environment=environment_line(report.records.run.environment),
    )


def _bold(text: str) -> Markup:
    """Markdown's bold as an element; everything else is escaped."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))


def _inline(picture: "Picture") -> Markup:
    """The drawing as an element: what precedes it and its metadata mean nothing inside a page."""
    drawing = picture.svg().decode()
    drawing = drawing[drawing.index("<svg") :]
    return Markup(re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL))
