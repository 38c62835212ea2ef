"""Entry point: ``python -m benchmarks.report DIR`` makes the tables and pictures of a run again.

Only the records are read, no model is loaded. ``benchmarks.run`` ends with the same code.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environment import environment_line
from benchmarks.records import (
    ENVIRONMENT_FILE,
    SUMMARY_CSV_FILE,
    SUMMARY_MD_FILE,
    Record,
    RunRecords,
    read_document,
    read_run,
    write_text,
)
from inference.cli import EXIT_OK, reports_user_errors
from inference.errors import UserError
from inference.transcripts import MAPPING_VERSION

if TYPE_CHECKING:
    from benchmarks.summary import Summary

SCREEN_WIDTH = 100
MOST_FREQUENT = 5
README_START = "<!-- results:start -->"
README_END = "<!-- results:end -->"
#: Fields that the tables read.
ENVIRONMENT_FIELDS = (
    "cpu",
    "machine",
    "cores_allowed",
    "os",
    "python",
    "libraries",
    "threads_per_backend",
    "commit",
    "uncommitted_changes",
)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description="Makes summary.csv, summary.md and the pictures of a run again from its records.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder written by benchmarks.run")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help=f"also put the table between {README_START} and its end"
    )
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Makes the report of a folder again and prints its table."""
    options = build_parser().parse_args(argv)
    document = _read_readme(options.readme) if options.readme else None
    summary = write_report(options.folder)
    print_report(summary, options.folder)
    if document is not None:
        environment = read_document(options.folder / ENVIRONMENT_FILE, ENVIRONMENT_FIELDS)
        write_text(options.readme, with_results(document, readme_section(summary, environment)))
    return EXIT_OK


def write_report(folder: Path) -> "Summary":
    """Writes the tables and pictures of a run from its records.

    Args:
        folder: Holds ``run.json``, ``environment.json``, ``predictions.jsonl`` and ``latency.jsonl``.

    Raises:
        UserError: If it is no folder of a run.
    """
    # Imported here: pandas, SciPy and Matplotlib take seconds that --help does not need.
    from benchmarks.plots import plot_accuracy_latency
    from benchmarks.summary import summarise

    records = read_run(folder)
    environment = read_document(folder / ENVIRONMENT_FILE, ENVIRONMENT_FIELDS)
    summary = summarise(*_first_protocol(records))
    write_text(folder / SUMMARY_CSV_FILE, summary.frame.to_csv(index=False))
    pictures = plot_accuracy_latency(folder / SUMMARY_CSV_FILE, folder / "plots")
    write_text(folder / SUMMARY_MD_FILE, markdown_report(summary, environment, pictures))
    return summary


def _first_protocol(records: RunRecords) -> tuple[Record, list[Record], list[Record]]:
    """The run as one protocol: what the tables show."""
    run, protocol = records.run, records.run["protocols"][0]
    footprint = {record["backend"]: record for record in records.footprint}
    loads = {record["backend"]: record for record in reversed(records.loads)}
    backends = [
        {
            **backend,
            **backend["protocols"][protocol["protocol"]],
            "status": backend["status"],
            "reason": backend["reason"],
            **footprint.get(backend["backend"], {"zero_shot": None}),
            **loads.get(backend["backend"], {}),
        }
        for backend in run["backends"]
    ]
    fold = protocol["folds"][0] if len(protocol["folds"]) == 1 else None
    header = {**run, **protocol, "fold": fold, "split_caption": protocol["caption"], "backends": backends}
    answers = [
        record
        for record in records.answers
        if (record["protocol"], record["condition"]) == (protocol["protocol"], "clean")
    ]
    main = run["settings"]["threads"], 1
    return header, answers, [r for r in records.latency if (r["threads"], r["batch"]) == main]


def print_report(summary: "Summary", folder: Path | None) -> None:
    """Prints the main table with its footnotes and captions for a terminal of 100 columns.

    Args:
        summary: The figures.
        folder: Where they were written; None if they were not.
    """
    from benchmarks.tables import Footnotes, align, main_table

    footnotes = Footnotes()
    columns, cells = main_table(summary, footnotes, on_screen=True)
    headings = [[column.heading for column in columns], [column.unit for column in columns]]
    table = [line.rstrip() for line in align([*headings, *cells])]
    lines = [_title(summary.run), "", *table, ""]
    notes = [f"[{number}] {text}" for number, text in enumerate(footnotes.texts, start=1)]
    written = [] if folder is None else [f"Written to {folder}"]
    for paragraph in [*notes, *captions(summary), *written]:
        lines += textwrap.wrap(paragraph, SCREEN_WIDTH, break_long_words=False, break_on_hyphens=False)
    sys.stdout.write("\n".join(lines) + "\n")


def markdown_report(summary: "Summary", environment: Record, pictures: Sequence[str]) -> str:
    """The whole report of a run as Markdown.

    Args:
        summary: The figures.
        environment: The content of ``environment.json``.
        pictures: Paths relative to the report.
    """
    sections = [
        [f"# {_title(summary.run)}"],
        *_table_sections(summary),
        [f"![Accuracy against latency; the area is the size on disk]({path})" for path in pictures],
        _speaker_section(summary),
        _unmapped_section(summary),
        ["## Environment", "", environment_line(environment)],
        ["## Reproduce", "", "```", summary.run["command"], "```"],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def readme_section(summary: "Summary", environment: Record) -> str:
    """The table of a run with footnotes, captions, environment and command, for another document."""
    lines = [*_table_sections(summary), [environment_line(environment)], [f"`{summary.run['command']}`"]]
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


def _table_sections(summary: "Summary") -> list[list[str]]:
    from benchmarks.tables import Footnotes, main_table, markdown_table

    footnotes = Footnotes()
    columns, cells = main_table(summary, footnotes, on_screen=False)
    heading = [f"{column.heading} {column.unit}".strip() for column in columns]
    return [
        markdown_table(heading, cells),
        [f"- [{number}] {text}" for number, text in enumerate(footnotes.texts, start=1)],
        [f"- {caption}" for caption in captions(summary)],
    ]


def captions(summary: "Summary") -> list[str]:
    """What a reader must know to read the table."""
    run = summary.run
    settings = run["settings"]
    methods = summary.frame["interval_method"].dropna().unique()
    return [
        f"Corpus: {run['dataset_description']}. Split: {run['split_caption']}; "
        f"{run['measured_clips']} clips, fingerprint {run['fingerprint']}"
        + ("." if run["measured_clips"] == run["test_clips"] else f", A SUBSET of {run['test_clips']}."),
        f"Accuracy: right answers with a 95 % interval ({', '.join(methods) or 'none'}); answers that are "
        f"no digit (unmapped) count as errors. {_reach(summary)} zero-shot: saw no clip of this task.",
        f"p50, p95: milliseconds from a waveform in memory to the answer, one clip a call, "
        f"{settings['rounds']} interleaved rounds, {settings['threads']} thread(s). load: import and "
        "checkpoint, files in the page cache. RSS: peak resident memory of a fresh process.",
        *(
            f"FIXTURE: {row['backend']} is a stand-in and no result: {row['fixture']}"
            for row in run["backends"]
            if row["fixture"]
        ),
        *([] if run["complete"] else ["INTERRUPTED: this run was stopped; complete figures only."]),
        *_mapping_caption(run),
    ]


def _title(run: Record) -> str:
    return f"Benchmark {run['run']}"


def _reach(summary: "Summary") -> str:
    """What the interval says and what it does not."""
    if summary.run["protocol"] == "official":
        if any(row["trained_on"] not in (None, summary.run["dataset"]) for row in summary.run["backends"]):
            return "trained on: the card of the checkpoint names another corpus than this."
        return "Same speakers as in training: it says nothing of new voices."
    num_speakers = max((len(scores.accuracy_by_speaker) for scores in summary.scores.values()), default=0)
    if num_speakers == 1:
        return "One new voice: it says nothing of other voices."
    return f"{num_speakers} new voices, which are the unit: it is about further voices of this kind."


def _mapping_caption(run: Record) -> list[str]:
    if run["mapping_version"] == MAPPING_VERSION:
        return []
    return [f"Text was mapped to digits again: {run['mapping_version']} at the run, {MAPPING_VERSION} here."]


def _speaker_section(summary: "Summary") -> list[str]:
    from benchmarks.tables import markdown_table

    if not summary.scores:
        return []
    speakers = sorted({name for scores in summary.scores.values() for name in scores.accuracy_by_speaker})
    rows = [
        [backend, *(f"{100 * scores.accuracy_by_speaker[speaker]:.1f}" for speaker in speakers)]
        for backend, scores in summary.scores.items()
    ]
    return ["## Accuracy % by speaker", "", *markdown_table(["backend", *speakers], rows)]


def _unmapped_section(summary: "Summary") -> list[str]:
    from benchmarks.tables import markdown_table

    rows = [
        [backend, json.dumps(text, ensure_ascii=False), str(count)]
        for backend, scores in summary.scores.items()
        for text, count in scores.unmapped_hypotheses[:MOST_FREQUENT]
    ]
    if not rows:
        return []
    return ["## Most frequent unmapped texts", "", *markdown_table(["backend", "text", "clips"], rows)]


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
