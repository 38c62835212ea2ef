"""The files of one run: JSON lines per clip and per timed call, and JSON documents.

A file under its final name is whole: what is under way lies beside it, under ``partial_path`` or, for
the answers, in a part file per process; they are merged and compressed at the end.
"""

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from benchmarks.records.checked import LayoutError, from_json, to_json
from benchmarks.records.measurements import AnswerRecord, ColdStart, Footprint, LoadRecord, TimedCall
from benchmarks.records.run_record import RunRecord
from inference.errors import UserError
from inference.files import write_text

#: Version of the layout, first field ``v`` of every line and document.
RECORD_VERSION = 5
RUN_FILE = "run.json"
ANSWERS_FILE = "answers.jsonl.gz"
LATENCY_FILE = "latency.jsonl"
LOADS_FILE = "loads.jsonl"
COLD_FILE = "cold.jsonl"
FOOTPRINT_FILE = "footprint.jsonl"
SUMMARY_MD_FILE = "summary.md"
SUMMARY_JSON_FILE = "summary.json"

#: Lines between two calls of fsync(2): what a power cut may take.
LINES_PER_SYNC = 50

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class RunRecords:
    """All that a run wrote, before anything is scored."""

    folder: Path
    run: RunRecord
    latency: list[TimedCall]
    loads: list[LoadRecord]
    cold: list[ColdStart]
    footprint: list[Footprint]

    def answers(self) -> Iterator[AnswerRecord]:
        """One record per backend, protocol, condition and clip, read while they are asked for.

        Raises:
            UserError: If one cannot be used.
        """
        path = self.folder / ANSWERS_FILE
        return read_records(path, AnswerRecord) if path.is_file() else iter(())


def read_run(folder: Path) -> RunRecords:
    """Reads a result folder; a phase that was not measured leaves an empty list.

    Raises:
        UserError: If it is no folder of a run, or a file of it cannot be used: with the file, the place in
            it and what is expected there.
    """
    return RunRecords(
        folder,
        read_document(folder / RUN_FILE, RunRecord),
        records_if_any(folder / LATENCY_FILE, TimedCall),
        records_if_any(folder / LOADS_FILE, LoadRecord),
        records_if_any(folder / COLD_FILE, ColdStart),
        records_if_any(folder / FOOTPRINT_FILE, Footprint),
    )


@contextmanager
def record_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Opens a file of JSON lines for appending; yields the function that appends one record.

    A last line that a killed process left torn is cut off first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    cut_torn_line(path)
    with path.open("a", encoding="utf-8") as lines:
        written = 0

        def write(record: Any) -> None:
            nonlocal written
            lines.write(encode(record))
            lines.flush()
            written += 1
            if written % LINES_PER_SYNC == 0:
                os.fsync(lines.fileno())

        yield write
        os.fsync(lines.fileno())


@contextmanager
def fresh_record_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Like ``record_writer``, for a file that gets its name when the block ends without an exception."""
    partial_path(path).unlink(missing_ok=True)
    with record_writer(partial_path(path)) as write:
        yield write
    publish(path)


def cut_torn_line(path: Path) -> None:
    """Removes the last line that a killed process left without its end."""
    if path.is_file():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def encode(record: Any) -> str:
    """A record as one line."""
    return json.dumps({"v": RECORD_VERSION, **to_json(record)}, allow_nan=False) + "\n"


def part_path(path: Path, rank: int) -> Path:
    """Where the process of that rank appends its answers, not compressed: a killed one loses no line."""
    return path.with_name(f"{_part_stem(path)}{rank}")


def part_paths(path: Path) -> list[Path]:
    """The part files there are, in the order of the ranks."""
    return sorted(path.parent.glob(f"{_part_stem(path)}*"), key=lambda part: int(part.suffix.split("-")[1]))


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their offsets; a torn last line does not count."""
    offset = 0
    with open_lines(path) as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield offset, line
            offset += len(line)


def open_lines(path: Path) -> BinaryIO:
    """Opens a file of JSON lines for reading, compressed or not; offsets are those of the content."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def merge_lines(path: Path, places: Iterable[tuple[Path, int]]) -> None:
    """Copies lines into one compressed file, puts it under its final name and removes the part files.

    Args:
        places: File and offset of each line, in the order they shall have.
    """
    with ExitStack() as stack:
        sources: dict[Path, BinaryIO] = {}
        written = stack.enter_context(partial_path(path).open("wb"))
        # Neither name nor time in its head: the same lines give the same bytes.
        target = stack.enter_context(gzip.GzipFile("", "wb", fileobj=written, mtime=0))
        for source, offset in places:
            if source not in sources:
                sources[source] = stack.enter_context(open_lines(source))
            sources[source].seek(offset)
            target.write(sources[source].readline())
    publish(path)
    for part in part_paths(path):
        part.unlink()


def partial_path(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(path.name + ".partial")


def publish(path: Path) -> None:
    """Gives what was written under ``partial_path`` its name, in place of an earlier file."""
    os.replace(partial_path(path), path)


def read_records(path: Path, kind: type[Kind]) -> Iterator[Kind]:
    """Reads a file of JSON lines, one after the other.

    Raises:
        UserError: If the file or a line of it cannot be used.
    """
    try:
        with open_lines(path) as lines:
            for number, line in enumerate(lines, start=1):
                yield parse_record(line.decode(), kind, f"line {number} of {path.name}", path.parent)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def records_if_any(path: Path, kind: type[Kind]) -> list[Kind]:
    """All records of a file; none where it is missing."""
    return list(read_records(path, kind)) if path.is_file() else []


def read_document(path: Path, kind: type[Kind]) -> Kind:
    """Reads a JSON document of a run.

    Raises:
        UserError: If it cannot be used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return parse_record(text, kind, path.name, path.parent)


def write_document(path: Path, document: Any) -> None:
    """Writes a record as a JSON document for people and programs."""
    content = {"v": RECORD_VERSION, **to_json(document)}
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def parse_record(text: str, kind: type[Kind], where: str, folder: Path) -> Kind:
    """The one checked reader: a line or document as a typed record.

    Args:
        kind: One of the classes of ``run_record`` and ``measurements``.
        where: The place of the text, for the error.
        folder: The result folder, for the error.

    Raises:
        UserError: If it is not what the layout says.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise _unusable(folder, f"{where} is not valid JSON ({error})") from error
    version = value.get("v", RECORD_VERSION) if isinstance(value, dict) else RECORD_VERSION
    if version != RECORD_VERSION:
        raise _unusable(folder, f"{where} has the record version {version}, expected {RECORD_VERSION}")
    try:
        return from_json(kind, text)
    except LayoutError as error:
        raise _unusable(folder, f"{where}: {error}") from error


def _part_stem(path: Path) -> str:
    return f"{path.name.removesuffix('.gz')}.part-"


def _unreadable(path: Path, error: Exception) -> UserError:
    return _unusable(path.parent, f"{path.name} cannot be read ({error})")


def _unusable(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder} is no folder of a finished run: {reason}. Make one: python -m benchmarks.run")
