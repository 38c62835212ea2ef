"""The answers: every backend is asked once about every clip of every job, and what is there is kept.

Answers are appended to part files, one per backend and process, and merged when all are there; whoever
starts again asks only for what is missing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.records.files import (
    answers_name,
    merge_lines,
    parse_record,
    part_path,
    part_paths,
    record_writer,
    whole_lines,
)
from benchmarks.records.measurements import AnswerRecord
from benchmarks.records.run_record import FailureRecord, Settings
from benchmarks.run.entries import Entry
from benchmarks.run.inputs import Job
from benchmarks.run.processes import Processes
from benchmarks.run.progress import say
from benchmarks.run.status import EntryStatus, GivenUp
from benchmarks.worker.client import DEADLY, BackendFailure, BackendProcess, Reply
from benchmarks.worker.waveform_file import StoredClip
from inference.backends.transcripts import mapping_version

#: A backend whose process died this often is given up: it was started again once.
MAX_DEATHS = 2
#: Clips on which a backend may raise before it is given up.
MAX_ERRORS = 20
#: Of a score or probability: float32 carries seven.
SIGNIFICANT_DIGITS = 6
ANSWER_FIELDS = ("label", "score", "probabilities", "none_probability", "hypothesis", "reason", "refused")


def answer_all(
    statuses: Sequence[EntryStatus],
    jobs: Sequence[Job],
    results: Path,
    settings: Settings,
    processes: Processes,
) -> None:
    """Asks every entry all that is open, this process its share of it.

    Args:
        statuses: One per entry; those that fail end here.
        jobs: All that is asked in this run.
        results: The result folder.
        settings: Threads and time limits.
        processes: The processes that share the work.
    """
    from tqdm import tqdm

    files = answer_files(statuses, jobs, results)
    open_jobs = {name: file.open_jobs(processes.split) for name, file in files.items()}
    # Nobody may answer before everybody has seen what is missing.
    processes.wait_for_everyone()
    for status in statuses:
        own, earlier = open_jobs[status.name], files[status.name].failed
        if not status.is_running or not own or is_given_up(earlier):
            continue
        number = sum(map(len, own.values()))
        say(f"{status.name}: {number} answers")
        with (
            status.catch_failures("accuracy"),
            record_writer(part_path(files[status.name].path, processes.rank)) as write,
            tqdm(total=number, unit="clip", leave=False, disable=None) as bar,
        ):
            answer_jobs(own, earlier, settings, write, bar.update)
    processes.wait_for_everyone()


def collect_answers(statuses: Sequence[EntryStatus], jobs: Sequence[Job], results: Path) -> None:
    """Merges the answers of all processes and ends the entries that failed on too many clips."""
    files = answer_files(statuses, jobs, results)
    for status in statuses:
        file = files[status.name]
        file.merge()
        failed = list(failures_in(file.failed))
        if status.is_running and failed and any(file.missing(job) for job in file.jobs):
            status.fail(failed[-1].phase, BackendFailure(failed[-1].kind, failed[-1].reason))
            status.failures.pop()  # It is among those of the clips.
        status.failures += failed


class AnswerFile:
    """The answers of one backend so far, of all processes; only where they lie is kept in memory.

    Args:
        path: Its final name.
        jobs: What the backend is asked.
    """

    def __init__(self, path: Path, jobs: Sequence[Job]):
        self.path = path
        self.jobs = jobs
        #: Records of clips without a proper answer.
        self.failed: list[AnswerRecord] = []
        self._places: dict[tuple[str, str], tuple[Path, int]] = {}
        self._is_final = path.is_file()
        keys = {job.key for job in jobs}
        for part in ([path] if self._is_final else []) + part_paths(path):
            for offset, line in whole_lines(part):
                record = json.loads(line)
                place = (record["job"], record["clip"])
                if record["job"] not in keys or part != path or place in self._places:
                    self._is_final = False
                # Answers to what is no longer asked are left behind.
                if record["job"] in keys and place not in self._places:
                    self._places[place] = (part, offset)
                    if record["status"] != "ok":
                        where = f"the line at {offset} of {part.name}"
                        self.failed.append(parse_record(line.decode(), AnswerRecord, where, part.parent))

    def missing(self, job: Job) -> list[str]:
        """The clips that were not asked, whatever came of the others."""
        return [clip_id for clip_id in job.clip_ids if (job.key, clip_id) not in self._places]

    def open_jobs(self, split: Callable[[list[str]], Sequence[str]] = list) -> Mapping[Job, frozenset[str]]:
        """The jobs with the clips that are not answered yet.

        Args:
            split: This process's share of some clips.
        """
        return {job: frozenset(split(missing)) for job in self.jobs if (missing := self.missing(job))}

    def merge(self) -> None:
        """Puts all answers into the final file, in the order of the jobs and their clips."""
        if not self._places or self._is_final:
            return
        places = [
            self._places[job.key, clip_id]
            for job in self.jobs
            for clip_id in job.clip_ids
            if (job.key, clip_id) in self._places
        ]
        merge_lines(self.path, places)


def answer_files(
    statuses: Sequence[EntryStatus], jobs: Sequence[Job], results: Path
) -> dict[str, AnswerFile]:
    """The answers so far, by the name of the entry."""
    return {
        status.name: AnswerFile(
            results / answers_name(status.entry.file_name),
            [job for job in jobs if job.entry.name == status.name],
        )
        for status in statuses
    }


def answer_jobs(
    jobs: Mapping[Job, frozenset[str]],
    earlier: Iterable[AnswerRecord],
    settings: Settings,
    write: Callable[[AnswerRecord], None],
    tick: Callable[[], object],
) -> None:
    """Asks one backend all that is open.

    The raw hypothesis is kept, so that text is mapped to a label again whenever a report is made.
    The times are for information: the latency figures come from interleaved rounds.

    Args:
        jobs: What is asked, with the clips that are open.
        earlier: Its records without a proper answer so far; they count.
        settings: Threads and time limits.
        write: Receives every record.
        tick: Called after every clip.

    Raises:
        BackendUnavailable: If it cannot be loaded because something is missing.
        BackendFailure: If it cannot be loaded for another reason.
        GivenUp: If it failed on too many clips.
    """
    patience = _Patience(earlier)
    ordered = sorted(jobs, key=lambda job: job.checkpoint)
    for checkpoint, group in groupby(ordered, key=lambda job: job.checkpoint):
        with _RestartedBackend(ordered[0].entry, settings, checkpoint) as backend:
            for job in group:
                for clip in (clip for clip in job.clips() if clip.clip_id in jobs[job]):
                    record, failure = _answer(backend, job, clip)
                    write(record)
                    tick()
                    if failure is not None:
                        patience.endure(job, failure)


class _Patience:
    """Counts the failures of a backend, those of an earlier start of the run included."""

    def __init__(self, failed: Iterable[AnswerRecord]):
        kinds = [record.status for record in failed]
        self._deaths = sum(kind in DEADLY for kind in kinds)
        self._errors = len(kinds)

    @property
    def is_exhausted(self) -> bool:
        """Whether the backend is given up."""
        return self._deaths >= MAX_DEATHS or self._errors >= MAX_ERRORS

    def endure(self, job: Job, failure: BackendFailure) -> None:
        """Raises ``GivenUp`` if that was one failure too many."""
        self._deaths += failure.is_deadly
        self._errors += 1
        if self.is_exhausted:
            raise GivenUp(job, failure)


def is_given_up(failed: Iterable[AnswerRecord]) -> bool:
    """Whether a backend with these records of failures was given up."""
    return _Patience(failed).is_exhausted


class _RestartedBackend:
    """A loaded backend that is started again after its process died."""

    def __init__(self, entry: Entry, settings: Settings, checkpoint: str):
        self._entry, self._settings, self._checkpoint = entry, settings, checkpoint
        self._stack = ExitStack()
        self._process: BackendProcess | None = None

    def __enter__(self) -> "_RestartedBackend":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Loads the backend unless it is."""
        if self._process is None:
            process = BackendProcess(self._entry, self._settings, self._checkpoint, offline=True)
            self._stack.enter_context(process).open()
            self._process = process

    def predict(self, clip: StoredClip) -> Reply:
        """One answer of the loaded backend."""
        assert self._process is not None, "predict before start"
        try:
            return self._process.predict(clip)
        except BackendFailure as failure:
            if failure.is_deadly:
                self._stack.close()
                self._process = None
            raise


def _answer(
    backend: _RestartedBackend, job: Job, clip: StoredClip
) -> tuple[AnswerRecord, BackendFailure | None]:
    """The record of one clip, and the failure if there was one."""
    backend.start()
    answer: dict[str, Any] = {}
    failure = None
    try:
        reply = backend.predict(clip)
    except BackendFailure as caught:
        failure = caught
    else:
        prediction = reply["predictions"][0]
        answer = {field: _rounded(prediction[field]) for field in ANSWER_FIELDS} | {"t_ns": reply["t_ns"]}
    record = AnswerRecord(
        job=job.key,
        backend=job.entry.name,
        protocol=job.protocol,
        fold=job.fold,
        condition=job.condition,
        clip=clip.clip_id,
        pcm_sha=clip.pcm_sha,
        speaker=clip.speaker,
        reference=clip.label,
        duration_s=clip.duration_s,
        rms_dbfs=clip.rms_dbfs,
        corruption=clip.corruption,
        mapping=mapping_version(),
        status=failure.kind if failure else "ok",
        error=str(failure) if failure else None,
        **answer,
    )
    return record, failure


def _rounded(value: Any) -> Any:
    """A number, or numbers, with the digits that mean something."""
    if isinstance(value, list):
        return tuple(_rounded(item) for item in value)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if isinstance(value, float) else value


def failures_in(failed: Iterable[AnswerRecord]) -> Iterator[FailureRecord]:
    """What went wrong on single clips, as in ``run.json``."""
    for record in failed:
        yield FailureRecord(
            phase="accuracy",
            protocol=record.protocol,
            condition=record.condition,
            kind=record.status,
            reason=record.error or "",
            traceback=None,
        )
