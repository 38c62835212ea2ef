"""The files of one run: JSON lines per clip and per timed call, and JSON documents.

Everything is written beside its final name first and renamed when it is whole, so a folder never
holds half a file under a name that promises a whole one.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    """Opens a file of JSON lines; yields the function that appends one record."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as lines:

        def write(record: Record) -> None:
            lines.write(json.dumps({"v": RECORD_VERSION, **record}, allow_nan=False) + "\n")
            lines.flush()

        yield write
    os.replace(partial, path)


def read_records(path: Path) -> list[Record]:
    """Reads a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_json(path: Path, document: Record) -> None:
    """Writes a JSON document for people and programs."""
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
