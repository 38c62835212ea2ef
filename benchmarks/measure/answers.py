"""The answers: every backend is asked once about every clip of every job, and what is there is kept.

Answers are appended to part files, one per process, and merged when all are there; whoever starts again
asks only for what is missing.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.records.files import (
    ANSWERS_FILE,
    merge_lines,
    parse_record,
    part_path,
    part_paths,
    record_writer,
    whole_lines,
)
from benchmarks.records.measurements import AnswerRecord
from benchmarks.records.run_record import FailureRecord, Settings
from benchmarks.run.inputs import Job
from benchmarks.run.processes import Processes
from benchmarks.run.progress import say
from benchmarks.run.status import EntryStatus, GivenUp
from benchmarks.worker.client import DEADLY, BackendFailure, BackendProcess
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
    """
    from tqdm import tqdm

    file = AnswerFile(results / ANSWERS_FILE, jobs)
    open_jobs = file.open_jobs(processes.split)
    # Nobody may answer before everybody has seen what is missing.
    processes.wait_for_everyone()
    for status in statuses:
        own = {job: clips for job, clips in open_jobs.items() if job.entry.name == status.name}
        earlier = file.failed_of(status.name)
        if not status.is_running or not own or is_given_up([record.status for record in earlier]):
            continue
        number = sum(map(len, own.values()))
        say(f"{status.name}: {number} answers")
        with (
            status.catch_failures("accuracy"),
            record_writer(part_path(file.path, processes.rank)) as write,
            tqdm(total=number, unit="clip", leave=False, disable=None) as bar,
        ):
            answer_jobs(own, earlier, settings, write, bar.update)
    processes.wait_for_everyone()


def collect_answers(statuses: Sequence[EntryStatus], jobs: Sequence[Job], results: Path) -> None:
    """Merges the answers of all processes and ends the entries that failed on too many clips."""
    file = AnswerFile(results / ANSWERS_FILE, jobs)
    file.merge()
    for status in statuses:
        failed = [
            FailureRecord(
                phase="accuracy",
                protocol=record.protocol,
                condition=record.condition,
                kind=record.status,
                reason=record.error or "",
                traceback=None,
            )
            for record in file.failed_of(status.name)
        ]
        asked = [job for job in jobs if job.entry.name == status.name]
        if status.is_running and failed and any(map(file.missing, asked)):
            status.fail(failed[-1].phase, BackendFailure(failed[-1].kind, failed[-1].reason))
            status.failures.pop()  # It is among those of the clips.
        status.failures += failed


class AnswerFile:
    """The answers so far, of all processes; only where they lie is kept in memory."""

    def __init__(self, path: Path, jobs: Sequence[Job]):
        self.path = path
        self._jobs = jobs
        self._failed: list[AnswerRecord] = []
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
                        self._failed.append(parse_record(line.decode(), AnswerRecord, where, part.parent))

    def failed_of(self, backend: str) -> list[AnswerRecord]:
        """A backend's records of clips without a proper answer."""
        return [record for record in self._failed if record.backend == backend]

    def missing(self, job: Job) -> list[str]:
        """The clips that were not asked, whatever came of the others."""
        return [clip_id for clip_id in job.clip_ids if (job.key, clip_id) not in self._places]

    def open_jobs(self, split: Callable[[list[str]], Sequence[str]] = list) -> Mapping[Job, frozenset[str]]:
        """The jobs with the clips that are not answered yet.

        Args:
            split: This process's share of some clips.
        """
        return {job: frozenset(split(missing)) for job in self._jobs if (missing := self.missing(job))}

    def merge(self) -> None:
        """Puts all answers into the final file, in the order of the jobs and their clips."""
        if not self._places or self._is_final:
            return
        places = [
            self._places[job.key, clip_id]
            for job in self._jobs
            for clip_id in job.clip_ids
            if (job.key, clip_id) in self._places
        ]
        merge_lines(self.path, places)


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

    Raises:
        BackendUnavailable: If it cannot be loaded because something is missing.
        BackendFailure: If it cannot be loaded for another reason.
        GivenUp: If it failed on too many clips.
    """
    kinds = [record.status for record in earlier]
    ordered = sorted(jobs, key=lambda job: job.checkpoint)
    for checkpoint, group in groupby(ordered, key=lambda job: job.checkpoint):
        with ExitStack() as stack:
            process: BackendProcess | None = None
            asked = ((job, clip) for job in group for clip in job.clips() if clip.clip_id in jobs[job])
            for job, clip in asked:
                if process is None:
                    process = BackendProcess(job.entry, settings, checkpoint, offline=True)
                    stack.enter_context(process).open()
                record, failure = _answer(process, job, clip)
                write(record)
                tick()
                kinds += [failure.kind] if failure else []
                if failure and is_given_up(kinds):
                    raise GivenUp(job, failure)
                if failure and failure.is_deadly:
                    stack.close()
                    process = None


def is_given_up(kinds: Sequence[str]) -> bool:
    """Whether a backend with these kinds of failures was given up, those of an earlier start included."""
    return sum(kind in DEADLY for kind in kinds) >= MAX_DEATHS or len(kinds) >= MAX_ERRORS


def _answer(
    process: BackendProcess, job: Job, clip: StoredClip
) -> tuple[AnswerRecord, BackendFailure | None]:
    """The record of one clip, and the failure if there was one."""
    answer: dict[str, Any] = {}
    failure = None
    try:
        reply = process.predict(clip)
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
