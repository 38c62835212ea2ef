"""What became of each entry of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.records.run_record import FailureRecord
from benchmarks.run.entries import Entry, portable_path
from benchmarks.run.inputs import Job
from benchmarks.worker.client import BackendFailure, BackendUnavailable

STATUS_OK = "ok"
STATUS_FAILED = "failed"
STATUS_UNAVAILABLE = "unavailable"
STATUS_INTERRUPTED = "interrupted"


class GivenUp(Exception):
    """A backend failed too often to go on."""

    def __init__(self, job: Job, failure: BackendFailure):
        super().__init__(str(failure))
        self.job = job
        self.failure = failure


@dataclass
class EntryStatus:
    """What became of one entry.

    Attributes:
        entry: The backend, with the checkpoint that is measured and timed.
        state: One of the ``STATUS_`` values; interrupted until all phases are over.
        reason: Why the state is not ok.
        fix: What would mend it, unless the reason says so.
        failures: What went wrong, as in ``run.json``.
    """

    entry: Entry
    state: str = STATUS_INTERRUPTED
    reason: str | None = "the run was interrupted"
    fix: str | None = "Go on: the same command with --resume"
    failures: list[FailureRecord] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the entry is called."""
        return self.entry.name

    @property
    def is_running(self) -> bool:
        """Whether nothing ended it yet."""
        return self.state == STATUS_INTERRUPTED

    def end(self, state: str, reason: str | None = None, fix: str | None = None) -> None:
        """Sets how it ended."""
        self.state, self.reason, self.fix = state, reason, fix

    def fail(self, phase: str, failure: BackendFailure, job: Job | None = None) -> None:
        """Ends it with a failure."""
        self.failures.append(
            FailureRecord(
                phase=phase,
                protocol=job.protocol if job else None,
                condition=job.condition if job else None,
                kind=failure.kind,
                reason=str(failure),
                traceback=failure.traceback,
            )
        )
        options = "".join(f" --{name} {value}" for name, value in self.entry.options.items())
        trial = (
            f"Try it alone: python -m inference.predict FILE --backend {self.entry.spec.name} "
            f"--checkpoint {portable_path(self.entry.checkpoint)}{options}"
        )
        # A refusal says itself what to do.
        self.end(STATUS_FAILED, str(failure), None if failure.kind == "refused" else trial)

    @contextmanager
    def catch_failures(self, phase: str) -> Iterator[None]:
        """Turns what a backend does wrong inside into how it ended."""
        try:
            yield
        except BackendUnavailable as missing:
            self.end(STATUS_UNAVAILABLE, str(missing), missing.fix)
        except GivenUp as end:
            self.fail(phase, end.failure, end.job)
        except BackendFailure as failure:
            self.fail(phase, failure)
