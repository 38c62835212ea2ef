"""Entry point: ``python -m benchmarks.report DIR`` makes the tables, pictures and page of a run again.

Only the records are read, no model is loaded. ``benchmarks.run`` ends with the same code.
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.records.files import SUMMARY_JSON_FILE, SUMMARY_MD_FILE
from inference.command_line import EXIT_OK, CommandLineParser, positive_float, reports_user_errors
from inference.errors import UserError
from inference.files import write_bytes, write_text

if TYPE_CHECKING:  # pandas, SciPy and Matplotlib take seconds that --help does not need.
    from benchmarks.reports.choice import Requirements
    from benchmarks.reports.report_tables import Report

SCREEN_WIDTH = 100
PAGE_FILE = "report.html"
PLOTS_FOLDER = "plots"
README_START = "<!-- results:start -->"
README_END = "<!-- results:end -->"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.report",
        description="Makes the tables (Markdown, JSON), the pictures and the page "
        f"({PAGE_FILE}) of a run again from its records; text is mapped to digits by the present rules.",
        epilog="Exit codes: 0 written, 2 the folder cannot be used.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder written by benchmarks.run")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help=f"also put the table between {README_START} and its end"
    )
    limits = parser.add_argument_group("what to ship", "the report opens with the best that keeps them all")
    limits.add_argument(
        "--max-ms", type=positive_float, metavar="MS", help="a clip costs no more than so many milliseconds"
    )
    limits.add_argument(
        "--max-mb", type=positive_float, metavar="MB", help="the files of the model are no larger"
    )
    limits.add_argument(
        "--max-false-accepts",
        type=_share,
        metavar="SHARE",
        help="no more than this share of other words is shown (default: 0.05 where they were asked about)",
    )
    limits.add_argument(
        "--new-speakers",
        type=_share,
        metavar="SHARE",
        help="at least this share of the words of new voices is right, and shown",
    )
    parser.add_argument(
        "--allow-fixture",
        action="store_true",
        help="report stand-in weights, too; every table and picture is watermarked",
    )
    return parser


def _share(text: str) -> float:
    """An argparse type: above 0 and at most 1."""
    value = float(text)
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is no share above 0 and up to 1, such as 0.05")
    return value


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Makes the report of a folder again and prints its table."""
    options = build_parser().parse_args(argv)
    document = _read_readme(options.readme) if options.readme else None
    # pandas and SciPy take seconds that --help does not need.
    from benchmarks.reports.choice import Requirements

    limits = {field.name: getattr(options, field.name) for field in fields(Requirements)}
    report = write_report(options.folder, options.allow_fixture, Requirements(**limits))
    print_report(report, options.folder)
    if document is not None:
        write_text(options.readme, with_results(document, readme_section(report)))
    return EXIT_OK


def write_report(
    folder: Path, allow_fixture: bool = False, requirements: "Requirements | None" = None
) -> "Report":
    """Writes the tables, pictures and the page of a run from its records.

    Args:
        allow_fixture: Whether figures of stand-in weights are reported, watermarked.
        requirements: What the recommended recogniser has to keep.

    Raises:
        UserError: If it is no folder of a run, holds stand-in weights that were not asked for, or lacks what
            a limit is on.
    """
    from benchmarks.reports import formats
    from benchmarks.reports.pictures import draw
    from benchmarks.reports.report_tables import read_report

    report = read_report(folder, allow_fixture, requirements)
    pictures = draw(report)
    files: dict[str, str | bytes] = {
        SUMMARY_MD_FILE: markdown_report(report, [picture.name for picture in pictures]),
        SUMMARY_JSON_FILE: formats.summary(report),
        PAGE_FILE: formats.page(report, pictures),
    }
    for picture in pictures:
        files[f"{PLOTS_FOLDER}/{picture.name}.png"] = picture.png()
    for name, content in files.items():
        write_bytes(folder / name, content.encode() if isinstance(content, str) else content)
    for made in folder.glob(f"{PLOTS_FOLDER}/*"):
        # A picture of an earlier report in this folder would be a lie.
        if made.relative_to(folder).as_posix() not in files:
            made.unlink()
    return report


def print_report(report: "Report", folder: Path) -> None:
    """Prints the main table with its footnotes and captions for a terminal of 100 columns."""
    from benchmarks.reports.main_table import remarks, short_keys
    from benchmarks.reports.table import shown
    from benchmarks.text_table import align

    table = report.tables["main"]
    keys = short_keys(table)
    text = shown(table, keys, narrow=True)
    numeric = [column.numeric for column in table.columns if column.key in keys]
    grid = [line.rstrip() for line in align([text.headings, *text.rows], numeric)]
    lines = [*_watermark(report), report.title, ""]
    for sentence in report.verdict:
        lines += textwrap.wrap(sentence.replace("**", ""), SCREEN_WIDTH, break_on_hyphens=False)
    lines += ["", *grid, ""]
    notes = [f"[{number}] {note}" for number, note in enumerate(text.footnotes, start=1)]
    written = [f"Written to {folder}", f"For the whole report open {folder / PAGE_FILE} in a browser."]
    for paragraph in [*notes, *remarks(table), *table.notes, *written]:
        lines += textwrap.wrap(paragraph, SCREEN_WIDTH, break_long_words=False, break_on_hyphens=False)
    sys.stdout.write("\n".join(lines) + "\n")


def markdown_report(report: "Report", pictures: Sequence[str]) -> str:
    """The whole report of a run as Markdown.

    Args:
        pictures: Names of the pictures that lie beside it.
    """
    from benchmarks.measure.environment import environment_line
    from benchmarks.reports.formats import markdown

    sections = [[f"# {report.title}"], _watermark(report), [" ".join(report.verdict)]]
    for table in report.tables.values():
        heading = [] if table.name == "main" else [f"## {table.title}", ""]
        sections.append([*heading, *(markdown(table) if len(table) else ["None."])])
    sections += [[f"![{name.replace('_', ' ')}]({PLOTS_FOLDER}/{name}.png)"] for name in pictures]
    environment = environment_line(report.records.run.environment)
    sections.append(["## Reproduce", "", environment, "", "```", report.records.run.command, "```"])
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def readme_section(report: "Report") -> str:
    """The verdict, the columns that decide and what a reader must know, for another document."""
    from benchmarks.measure.environment import environment_line
    from benchmarks.reports.formats import markdown
    from benchmarks.reports.main_table import captions, remarks, short_keys

    table = report.tables["main"]
    threads = report.records.run.settings.threads
    notes = [
        *remarks(table),
        *captions(report.records.run, report.answers),
        f"In brackets: 95 % intervals. Timed with {threads} thread(s). "
        + environment_line(report.records.run.environment),
    ]
    lines = [
        _watermark(report),
        [" ".join(report.verdict)],
        [*markdown(table, short_keys(table), with_notes=False), "", *(f"- {note}" for note in notes)],
    ]
    return "\n\n".join("\n".join(section) for section in lines if section)


def with_results(document: str, section: str) -> str:
    """Puts a section between the two result markers of a Markdown document.

    Raises:
        UserError: If the document lacks the markers.
    """
    before, start, rest = document.partition(README_START)
    _, end, after = rest.partition(README_END)
    if not end:
        raise UserError(f"expected the lines {README_START} and {README_END} in the document.")
    return f"{before}{start}\n{section}\n{end}{after}"


def _watermark(report: "Report") -> list[str]:
    return [f"**{report.watermark}**", ""] if report.watermark else []


def _read_readme(path: Path) -> str:
    """The document for the table, checked before anything is written."""
    try:
        document = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"--readme {path} cannot be read ({error}); name a Markdown file with the lines "
            f"{README_START} and {README_END}."
        ) from error
    with_results(document, "")
    return document


if __name__ == "__main__":
    raise SystemExit(main())
