"""The files of one run: JSON lines per clip and per timed call, and JSON documents.

Everything is written beside its final name first and renamed when it is whole, so a folder never
holds half a file under a name that promises a whole one, and an earlier run stays until then.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference.errors import UserError

#: Version of the record layout, first field of every line.
RECORD_VERSION = 1

RUN_FILE = "run.json"
PREDICTIONS_FILE = "predictions.jsonl"
LATENCY_FILE = "latency.jsonl"
ENVIRONMENT_FILE = "environment.json"
SUMMARY_CSV_FILE = "summary.csv"
SUMMARY_MD_FILE = "summary.md"

Record = dict[str, Any]


@contextmanager
def record_writer(path: Path) -> Iterator[Callable[[Record], None]]:
    """Opens a file of JSON lines; yields the function that appends one record.

    The records lie under ``partial_path`` until ``publish`` gives them their name.
    """
    with partial_path(path).open("w", encoding="utf-8") as lines:

        def write(record: Record) -> None:
            lines.write(json.dumps({"v": RECORD_VERSION, **record}, allow_nan=False) + "\n")
            lines.flush()

        yield write


def partial_path(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(path.name + ".partial")


def publish(path: Path) -> None:
    """Gives what was written under ``partial_path`` its name, in place of an earlier file."""
    os.replace(partial_path(path), path)


def read_records(path: Path, needed: Collection[str] = ()) -> list[Record]:
    """Reads a file of JSON lines.

    Args:
        path: The file.
        needed: Fields without which a record is of no use.

    Raises:
        UserError: If the file or a line of it cannot be used.
    """
    return [
        _checked_object(line, f"line {number} of {path.name}", path.parent, ("v", *needed))
        for number, line in enumerate(_content(path).splitlines(), start=1)
    ]


def read_document(path: Path, needed: Collection[str] = ()) -> Record:
    """Reads a JSON document of a run.

    Args:
        path: The file.
        needed: Fields without which it is of no use.

    Raises:
        UserError: If it cannot be used.
    """
    return _checked_object(_content(path), path.name, path.parent, needed)


def write_json(path: Path, document: Record) -> None:
    """Writes a JSON document for people and programs."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step."""
    partial_path(path).write_text(text, encoding="utf-8")
    publish(path)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path.parent, f"{path.name} cannot be read ({error})") from error


def _checked_object(text: str, where: str, folder: Path, needed: Collection[str]) -> Record:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _unusable(folder, f"{where} is not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise _unusable(folder, f"{where} holds {type(document).__name__}, expected an object")
    version = document.get("v", RECORD_VERSION)
    if version != RECORD_VERSION:
        raise _unusable(folder, f"{where} has the record version {version}, expected {RECORD_VERSION}")
    missing = [name for name in needed if name not in document]
    if missing:
        raise _unusable(folder, f"{where} lacks {', '.join(missing)}")
    return document


def _unusable(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder} is no folder of a finished run: {reason}. Make one: python -m benchmarks.run")
