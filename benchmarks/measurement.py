"""The passes of one run over all backends: footprint, load, accuracy, interleaved latency.

What goes wrong with one backend is written into its outcome; the others go on.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from benchmarks.backend_process import BackendFailure, BackendProcess, BackendUnavailable
from benchmarks.clip_store import StoredClip
from benchmarks.evaluation import answer_clips
from benchmarks.footprint import measure_footprint
from benchmarks.latency import time_rounds
from benchmarks.protocol import Candidate, Settings, portable_path, stratified_subset
from benchmarks.records import Record

Item = TypeVar("Item")

STATUS_OK = "ok"
STATUS_FAILED = "failed"
STATUS_UNAVAILABLE = "unavailable"
STATUS_INTERRUPTED = "interrupted"


@dataclass
class Outcome:
    """What became of one backend, apart from its single answers and timed calls.

    Attributes:
        backend: Its name.
        checkpoint: What was loaded, as printed.
        summary: One line on the backend.
        leaked_clips: Test clips its checkpoint was trained on; None without a split card.
        trained_on: The corpus its checkpoint learned from; None without a split card.
        fixture: What its checkpoint is a stand-in for; None for a real one.
        status: One of the ``STATUS_`` values; interrupted until all passes are over.
        reason: Why the status is not ok.
        fix: The command that would mend it, unless the reason says so.
        zero_shot: Whether it saw no training clip of the task; None if it never loaded.
        parameters: Stored values of the model.
        checkpoint_bytes: Bytes on disk of its files.
        peak_rss_bytes: Peak resident memory of a fresh process.
        load_seconds: Importing its libraries and loading the checkpoint, files in the page cache.
        first_call_ms: The first prediction after that.
    """

    backend: str
    checkpoint: str
    summary: str
    leaked_clips: int | None
    trained_on: str | None
    fixture: str | None
    status: str = STATUS_INTERRUPTED
    reason: str | None = "the run was interrupted"
    fix: str | None = "Run it again."
    zero_shot: bool | None = None
    parameters: int | None = None
    checkpoint_bytes: int | None = None
    peak_rss_bytes: int | None = None
    load_seconds: float | None = None
    first_call_ms: float | None = None

    @classmethod
    def pending(cls, candidate: Candidate) -> "Outcome":
        """The outcome of a backend that was not measured yet."""
        return cls(
            backend=candidate.name,
            checkpoint=portable_path(candidate.checkpoint),
            summary=candidate.spec.summary,
            leaked_clips=candidate.leaked_clips,
            trained_on=candidate.trained_on,
            fixture=candidate.fixture,
        )

    def end(self, status: str, reason: str | None = None, fix: str | None = None) -> None:
        """Sets how it ended."""
        self.status, self.reason, self.fix = status, reason, fix


@dataclass(frozen=True)
class Measurement:
    """One run over several backends.

    Attributes:
        candidates: The backends, in the order of the tables.
        outcomes: One per candidate, filled while the passes go on.
        clips: The decoded test clips.
        clips_path: Their samples.
        settings: How often and how patiently.
        write_prediction: Receives one record per answered clip.
        write_latency: Receives one record per timed call.
    """

    candidates: Sequence[Candidate]
    outcomes: Sequence[Outcome]
    clips: Sequence[StoredClip]
    clips_path: Path
    settings: Settings
    write_prediction: Callable[[Record], None]
    write_latency: Callable[[Record], None]

    def run(self) -> None:
        """Makes all passes; on Ctrl-C what was measured so far is in the outcomes and records."""
        for candidate, outcome in zip(self.candidates, self.outcomes, strict=True):
            with _failures_recorded(outcome):
                self._measure_footprint(candidate, outcome)
        with ExitStack() as stack:
            processes: dict[str, BackendProcess] = {}
            for candidate, outcome in self._alive():
                with _failures_recorded(outcome):
                    process = BackendProcess(candidate, self.settings, self.clips_path, offline=True)
                    self._measure_accuracy(stack.enter_context(process), outcome)
                    processes[outcome.backend] = process
            self._measure_latency(processes)
        for _, outcome in self._alive():
            outcome.end(STATUS_OK)

    def _alive(self) -> list[tuple[Candidate, Outcome]]:
        pairs = zip(self.candidates, self.outcomes, strict=True)
        return [(candidate, outcome) for candidate, outcome in pairs if outcome.status == STATUS_INTERRUPTED]

    def _measure_footprint(self, candidate: Candidate, outcome: Outcome) -> None:
        _say(f"{outcome.backend}: size and memory")
        footprint = measure_footprint(candidate, self.clips, self.clips_path, self.settings)
        outcome.zero_shot = footprint.zero_shot
        outcome.parameters = footprint.parameters
        outcome.checkpoint_bytes = footprint.checkpoint_bytes
        outcome.peak_rss_bytes = footprint.peak_rss_bytes

    def _measure_accuracy(self, process: BackendProcess, outcome: Outcome) -> None:
        _say(f"{outcome.backend}: {len(self.clips)} clips")
        outcome.load_seconds = process.load()["load_seconds"]
        outcome.first_call_ms = process.predict(self.clips[0])["elapsed_ns"] / 1e6
        answer_clips(process, outcome.backend, _progress(self.clips, "clip"), self.write_prediction)

    def _measure_latency(self, processes: dict[str, BackendProcess]) -> None:
        if not processes:
            return
        _say(f"latency: {self.settings.rounds} interleaved rounds of {', '.join(processes)}")
        failures = time_rounds(
            processes,
            stratified_subset(self.clips, self.settings.pool_size),
            rounds=self.settings.rounds,
            seed=self.settings.seed,
            write=self.write_latency,
            progress=lambda rounds: _progress(rounds, "round"),
        )
        for outcome in self.outcomes:
            if outcome.backend in failures:
                _end_failed(outcome, failures[outcome.backend])


@contextmanager
def _failures_recorded(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except BackendUnavailable as error:
        outcome.end(STATUS_UNAVAILABLE, str(error), error.fix)
    except BackendFailure as failure:
        _end_failed(outcome, failure)


def _end_failed(outcome: Outcome, failure: BackendFailure) -> None:
    trial = (
        "Try it alone: python -m inference.predict FILE "
        f"--backend {outcome.backend} --checkpoint {outcome.checkpoint}"
    )
    # A refusal says itself what to do.
    outcome.end(STATUS_FAILED, str(failure), None if failure.kind == "refused" else trial)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _progress(items: Iterable[Item], unit: str) -> Iterable[Item]:
    # None: no bar where standard error is no terminal.
    return tqdm(items, unit=unit, leave=False, disable=None)
