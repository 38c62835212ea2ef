"""The report as one HTML file: no request leaves it, pictures inside, tables that sort."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from benchmarks.measure.environment import environment_line
from benchmarks.reports.picture import Picture
from benchmarks.reports.report_tables import Report
from benchmarks.reports.table import Table, is_missing, shown

TEMPLATE = Path(__file__).with_name("page.html.jinja")
#: Picture -> the table below which it stands.
PLACES = {
    "unheard_curves": "unheard",
    "reliability": "unheard",
    "accuracy_latency": "main",
    "speakers": "speakers",
    "confusion": "confusion",
    "snr": "robustness_summary",
    "latency": "latency",
    "stages": "stages",
}


def page(report: Report, pictures: Sequence[Picture]) -> str:
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


def _inline(picture: Picture) -> str:
    """The drawing as an element: what precedes it and its metadata mean nothing inside a page."""
    drawing = picture.svg().decode()
    drawing = drawing[drawing.index("<svg") :]
    return re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
