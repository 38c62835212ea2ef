"""The answers: every backend is asked once about every clip of every unit, and what is there is kept.

A unit is one backend with one checkpoint under one protocol, fold and condition. Answers are appended
to part files, one per process, and merged when all are there; whoever starts again asks only for what
is missing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.run.entries import Row
from benchmarks.run.records import (
    Record,
    answers_path,
    merge_lines,
    part_path,
    part_paths,
    record_writer,
    whole_lines,
)
from benchmarks.run.settings import Settings
from benchmarks.worker.client import DEADLY, Answer, BackendFailure, BackendProcess
from benchmarks.worker.waveform_file import StoredClip
from inference.transcripts import mapping_version

#: A backend whose process died this often is given up: it was started again once.
MAX_DEATHS = 2
#: Clips on which a backend may raise before it is given up.
MAX_ERRORS = 20
#: Of a score or probability: float32 carries seven.
SIGNIFICANT_DIGITS = 6
ANSWER_FIELDS = ("label", "score", "probabilities", "none_probability", "hypothesis", "reason", "refused")


@dataclass(frozen=True, eq=False)
class Unit:
    """What is asked in one go.

    Attributes:
        row: The backend.
        protocol: Name of the protocol.
        folder: Its name in the result folder.
        condition: ``clean`` or a condition of the robustness phase.
        fold: The held-out speaker; None without folds.
        checkpoint: What is loaded.
        clip_ids: What is asked, in the order of the records.
        clips: The clips themselves, made when they are needed.
        key: Hash of everything that the answers depend on.
    """

    row: Row
    protocol: str
    folder: str
    condition: str
    fold: str | None
    checkpoint: str
    clip_ids: Sequence[str]
    clips: Callable[[], Sequence[StoredClip]]
    key: str

    def path(self, results: Path) -> Path:
        """Where the answers go; the folds of a protocol share a file."""
        return answers_path(results, self.row.folder, self.folder, self.condition)


class GivenUp(Exception):
    """A backend failed too often to go on.

    Args:
        unit: Where that was.
        failure: The last failure.
    """

    def __init__(self, unit: Unit, failure: BackendFailure):
        super().__init__(str(failure))
        self.unit = unit
        self.failure = failure


class AnswerFile:
    """The answers of one file so far, of all processes; only where they lie is kept in memory.

    Args:
        path: Its final name.
        units: The units whose answers it holds.
    """

    def __init__(self, path: Path, units: Sequence[Unit]):
        self.path = path
        self.units = units
        #: Records of clips without a proper answer.
        self.failed: list[Record] = []
        self._places: dict[tuple[str, str], tuple[Path, int]] = {}
        self._is_final = path.is_file()
        keys = {unit.key for unit in units}
        for part in ([path] if self._is_final else []) + part_paths(path):
            for offset, line in whole_lines(part):
                record = json.loads(line)
                place = (record["unit"], record["clip"])
                if record["unit"] not in keys or part != path or place in self._places:
                    self._is_final = False
                # Answers to what is no longer asked are left behind.
                if record["unit"] in keys and place not in self._places:
                    self._places[place] = (part, offset)
                    if record["status"] != "ok":
                        self.failed.append(record)

    def missing(self, unit: Unit) -> list[str]:
        """The clips that were not asked, whatever came of the others."""
        return [clip_id for clip_id in unit.clip_ids if (unit.key, clip_id) not in self._places]

    def merge(self) -> None:
        """Puts all answers into the final file, in the order of the clips."""
        if not self._places or self._is_final:
            return
        places = [
            self._places[unit.key, clip_id]
            for unit in self.units
            for clip_id in unit.clip_ids
            if (unit.key, clip_id) in self._places
        ]
        merge_lines(self.path, places)


def answer_files(units: Sequence[Unit], results: Path) -> dict[Path, AnswerFile]:
    """The state of the files of some units."""
    paths = {unit: unit.path(results) for unit in units}
    return {
        path: AnswerFile(path, [unit for unit in units if paths[unit] == path])
        for path in dict.fromkeys(paths.values())
    }


@dataclass(frozen=True)
class Task:
    """A unit and those of its clips that this process has to ask about."""

    unit: Unit
    clip_ids: frozenset[str]


def open_tasks(
    files: Mapping[Path, AnswerFile], share: Callable[[list[str]], Sequence[str]] = list
) -> list[Task]:
    """What is not answered yet.

    Args:
        files: The state of the answers.
        share: This process's share of some clips.
    """
    return [
        Task(unit, frozenset(share(missing)))
        for file in files.values()
        for unit in file.units
        if (missing := file.missing(unit))
    ]


def answer_row(
    tasks: Sequence[Task],
    earlier: Iterable[Record],
    results: Path,
    rank: int,
    settings: Settings,
    tick: Callable[[], object],
) -> None:
    """Asks one backend all that is open.

    The raw hypothesis is kept, so that text is mapped to a digit again whenever a report is made.
    The times are for information: the latency figures come from interleaved rounds.

    Args:
        tasks: Its tasks.
        earlier: Its records without a proper answer so far; they count.
        results: The result folder.
        rank: Number of this process.
        settings: Threads and time limits.
        tick: Called after every clip.

    Raises:
        BackendUnavailable: If it cannot be loaded because something is missing.
        BackendFailure: If it cannot be loaded for another reason.
        GivenUp: If it failed on too many clips.
    """
    patience = _Patience(earlier)
    ordered = sorted(tasks, key=lambda task: task.unit.checkpoint)
    for checkpoint, group in groupby(ordered, key=lambda task: task.unit.checkpoint):
        with _Recogniser(tasks[0].unit.row, settings, checkpoint) as recogniser:
            for task in group:
                with record_writer(part_path(task.unit.path(results), rank)) as write:
                    clips = [clip for clip in task.unit.clips() if clip.clip_id in task.clip_ids]
                    for clip in clips:
                        record, failure = _answer(recogniser, task.unit, clip)
                        write(record)
                        tick()
                        if failure is not None:
                            patience.endure(task.unit, failure)


class _Patience:
    """Counts the failures of a backend, those of an earlier start of the run included."""

    def __init__(self, failed: Iterable[Record]):
        kinds = [record["status"] for record in failed]
        self._deaths = sum(kind in DEADLY for kind in kinds)
        self._errors = len(kinds)

    @property
    def is_exhausted(self) -> bool:
        """Whether the backend is given up."""
        return self._deaths >= MAX_DEATHS or self._errors >= MAX_ERRORS

    def endure(self, unit: Unit, failure: BackendFailure) -> None:
        """Raises ``GivenUp`` if that was one failure too many."""
        self._deaths += failure.is_deadly
        self._errors += 1
        if self.is_exhausted:
            raise GivenUp(unit, failure)


def is_given_up(failed: Iterable[Record]) -> bool:
    """Whether a backend with these records of failures was given up."""
    return _Patience(failed).is_exhausted


class _Recogniser:
    """A loaded backend that is started again after its process died."""

    def __init__(self, row: Row, settings: Settings, checkpoint: str):
        self._row, self._settings, self._checkpoint = row, settings, checkpoint
        self._stack = ExitStack()
        self._process: BackendProcess | None = None

    def __enter__(self) -> "_Recogniser":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Loads the backend unless it is."""
        if self._process is None:
            process = BackendProcess(self._row, self._settings, self._checkpoint, offline=True)
            self._stack.enter_context(process).open()
            self._process = process

    def predict(self, clip: StoredClip) -> Answer:
        """One answer of the loaded backend."""
        assert self._process is not None, "predict before start"
        try:
            return self._process.predict(clip)
        except BackendFailure as failure:
            if failure.is_deadly:
                self._stack.close()
                self._process = None
            raise


def _answer(recogniser: _Recogniser, unit: Unit, clip: StoredClip) -> tuple[Record, BackendFailure | None]:
    """The record of one clip, and the failure if there was one."""
    record: Record = {
        "unit": unit.key,
        "backend": unit.row.name,
        "protocol": unit.protocol,
        "fold": unit.fold,
        "condition": unit.condition,
        "clip": clip.clip_id,
        "pcm_sha": clip.pcm_sha,
        "speaker": clip.speaker,
        "reference": clip.label,
        "duration_s": clip.duration_s,
        "rms_dbfs": clip.rms_dbfs,
        "corruption": clip.corruption,
        "mapping": mapping_version(),
    }
    recogniser.start()
    try:
        answer = recogniser.predict(clip)
    except BackendFailure as failure:
        empty = dict.fromkeys((*ANSWER_FIELDS, "t_ns"))
        return {**record, "status": failure.kind, "error": str(failure), **empty}, failure
    prediction = answer["predictions"][0]
    return {
        **record,
        "status": "ok",
        "error": None,
        **{field: _rounded(prediction[field]) for field in ANSWER_FIELDS},
        "t_ns": answer["t_ns"],
    }, None


def _rounded(value: Any) -> Any:
    """A number, or numbers, with the digits that mean something."""
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def failures_in(failed: Iterable[Record]) -> Iterator[Record]:
    """What went wrong on single clips, as in ``run.json``."""
    for record in failed:
        yield {
            "phase": "accuracy",
            "protocol": record["protocol"],
            "condition": record["condition"],
            "kind": record["status"],
            "reason": record["error"],
            "traceback": None,
        }
