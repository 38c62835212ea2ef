"""Reads the records of a run and refuses, with one sentence, what is not laid out as it should be."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.reports.schemas import validator
from benchmarks.run.records import (
    ENVIRONMENT_FILE,
    RUN_FILE,
    SPLITS_FILE,
    Record,
    RunRecords,
    read_document,
    read_run,
)
from inference.errors import UserError


def read_checked_run(folder: Path) -> RunRecords:
    """Reads a result folder whose every field is of the kind that the report expects, but for its answers.

    Raises:
        UserError: With the file, the place in it and what is expected there.
    """
    # First of all: it says where the other files lie.
    _check(read_document(folder / RUN_FILE), "run", folder, RUN_FILE)
    records = read_run(folder)
    _check(records.environment, "environment", folder, ENVIRONMENT_FILE)
    _check(records.splits, "splits", folder, SPLITS_FILE)
    for kind, lines in (
        ("latency", records.latency),
        ("load", records.loads),
        ("cold", records.cold),
        ("footprint", records.footprint),
    ):
        for _ in _checked(lines, kind, folder):
            pass
    return records


def checked_answers(records: RunRecords) -> Iterator[Record]:
    """The answers of a run, each looked at like the rest when its turn comes.

    Raises:
        UserError: As ``read_checked_run``.
    """
    return _checked(records.answers(), "answer", records.folder)


def fixtures(run: Record) -> list[str]:
    """The rows whose weights are stand-ins."""
    return [row["backend"] for row in run["backends"] if row["fixture"]]


def refuse_fixtures(names: Sequence[str], allow_fixture: bool) -> None:
    """Stops before figures of stand-in weights look like results.

    Args:
        names: Rows whose weights are stand-ins.
        allow_fixture: Whether they were asked for.

    Raises:
        UserError: With the rows and the way out.
    """
    if names and not allow_fixture:
        raise UserError(
            f"{', '.join(names)}: the weights are a fixture, a stand-in for tests, and their figures are no "
            "results. Measure real weights (--checkpoint NAME=PATH), leave the backend out, or say "
            "--allow-fixture: every table and picture is then watermarked."
        )


def _checked(records: Iterable[Record], kind: str, folder: Path) -> Iterator[Record]:
    for number, record in enumerate(records, start=1):
        _check(record, kind, folder, f"{kind} record {number} ({record.get('backend')})")
        yield record


def _check(document: Any, kind: str, folder: Path, where: str) -> None:
    from fastjsonschema import JsonSchemaValueException

    try:
        validator("records", kind)(document)
    except JsonSchemaValueException as error:
        place = ".".join(str(part) for part in error.path[1:]) or "it"
        raise UserError(
            f"{folder} is no folder of a finished run: {where}: {place}: "
            f"{error.message.removeprefix(error.name or '').strip()}. Make one: python -m benchmarks.run"
        ) from error
