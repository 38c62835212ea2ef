"""The files of one run: JSON lines per clip and per timed call, and JSON documents.

A file under its final name is whole: what is under way lies beside it, under ``partial_path`` or, for
the answers of several processes, in part files that are merged and compressed at the end.
``results/README.md`` says what every field means.
"""

import gzip
import json
import os
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from inference.errors import UserError

#: Version of the record layout, first field of every line and document.
RECORD_VERSION = 3

RUN_FILE = "run.json"
SPLITS_FILE = "splits.json"
ENVIRONMENT_FILE = "environment.json"
ANSWERS_FOLDER = "records"
ANSWERS_SUFFIX = ".jsonl.gz"
LATENCY_FILE = "latency.jsonl"
LOADS_FILE = "loads.jsonl"
COLD_FILE = "cold.jsonl"
FOOTPRINT_FILE = "footprint.jsonl"
SUMMARY_CSV_FILE = "summary.csv"
SUMMARY_MD_FILE = "summary.md"

#: Lines between two calls of fsync(2): what a power cut may take.
LINES_PER_SYNC = 50

Record = dict[str, Any]


@dataclass(frozen=True)
class RunRecords:
    """All that a run wrote, before anything is scored.

    Attributes:
        folder: Where.
        run: ``run.json``.
        environment: ``environment.json``.
        splits: ``splits.json``.
        latency: One record per timed call.
        loads: One per timed worker.
        cold: One per cold start.
        footprint: One per backend.
    """

    folder: Path
    run: Record
    environment: Record
    splits: Record
    latency: list[Record]
    loads: list[Record]
    cold: list[Record]
    footprint: list[Record]

    def answers(self) -> Iterator[Record]:
        """One record per backend, protocol, condition and clip, read while they are asked for.

        Raises:
            UserError: If one cannot be used.
        """
        for backend in self.run["backends"]:
            for protocol in self.run["protocols"]:
                for condition in self.run["conditions"]:
                    names = backend["folder"], protocol["folder"], condition["condition"]
                    yield from _records_if_any(answers_path(self.folder, *names))


def read_run(folder: Path) -> RunRecords:
    """Reads a result folder; a phase that was not measured leaves an empty list.

    Raises:
        UserError: If it is no folder of a run, or a file of it cannot be used.
    """
    run = read_document(folder / RUN_FILE, ("run", "protocols", "conditions", "backends", "settings"))
    names = (LATENCY_FILE, LOADS_FILE, COLD_FILE, FOOTPRINT_FILE)
    return RunRecords(
        folder,
        run,
        read_document(folder / ENVIRONMENT_FILE),
        read_document(folder / SPLITS_FILE, ("protocols",)),
        *(list(_records_if_any(folder / name)) for name in names),
    )


def answers_path(folder: Path, backend_folder: str, protocol_folder: str, condition: str) -> Path:
    """Where the answers of a backend under a protocol and condition lie."""
    return folder / ANSWERS_FOLDER / backend_folder / protocol_folder / f"{condition}{ANSWERS_SUFFIX}"


@contextmanager
def record_writer(path: Path) -> Iterator[Callable[[Record], None]]:
    """Opens a file of JSON lines for appending; yields the function that appends one record.

    A last line that a killed process left torn is cut off first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _cut_torn_line(path)
    with path.open("a", encoding="utf-8") as lines:
        written = 0

        def write(record: Record) -> None:
            nonlocal written
            lines.write(encode(record))
            lines.flush()
            written += 1
            if written % LINES_PER_SYNC == 0:
                os.fsync(lines.fileno())

        yield write
        os.fsync(lines.fileno())


@contextmanager
def fresh_record_writer(path: Path) -> Iterator[Callable[[Record], None]]:
    """Like ``record_writer``, for a file that gets its name when the block ends without an exception."""
    partial_path(path).unlink(missing_ok=True)
    with record_writer(partial_path(path)) as write:
        yield write
    publish(path)


def encode(record: Record) -> str:
    """A record as one line."""
    return json.dumps({"v": RECORD_VERSION, **record}, allow_nan=False) + "\n"


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
        path: The final name.
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


def read_records(path: Path, needed: Collection[str] = ()) -> Iterator[Record]:
    """Reads a file of JSON lines, one after the other.

    Args:
        path: The file.
        needed: Fields without which a record is of no use.

    Raises:
        UserError: If the file or a line of it cannot be used.
    """
    try:
        with open_lines(path) as lines:
            for number, line in enumerate(lines, start=1):
                where = f"line {number} of {path.name}"
                yield _checked_object(line.decode(), where, path.parent, ("v", *needed))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def read_document(path: Path, needed: Collection[str] = ()) -> Record:
    """Reads a JSON document of a run.

    Args:
        path: The file.
        needed: Fields without which it is of no use.

    Raises:
        UserError: If it cannot be used.
    """
    return _checked_object(_content(path), path.name, path.parent, ("v", *needed))


def write_document(path: Path, document: Record) -> None:
    """Writes a JSON document for people and programs."""
    write_text(path, json.dumps({"v": RECORD_VERSION, **document}, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path(path).write_text(text, encoding="utf-8")
    publish(path)


def _records_if_any(path: Path) -> Iterable[Record]:
    return read_records(path, ("backend",)) if path.is_file() else ()


def _part_stem(path: Path) -> str:
    return f"{path.name.removesuffix('.gz')}.part-"


def _cut_torn_line(path: Path) -> None:
    if path.is_file():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


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


def _unreadable(path: Path, error: Exception) -> UserError:
    return _unusable(path.parent, f"{path.name} cannot be read ({error})")


def _unusable(folder: Path, reason: str) -> UserError:
    return UserError(f"{folder} is no folder of a finished run: {reason}. Make one: python -m benchmarks.run")
