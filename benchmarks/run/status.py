"""What became of each row of a run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.measure.answers import GivenUp, Unit
from benchmarks.run.entries import Row, portable_path
from benchmarks.run.records import Record
from benchmarks.worker.client import BackendFailure, BackendUnavailable

STATUS_OK = "ok"
STATUS_FAILED = "failed"
STATUS_UNAVAILABLE = "unavailable"
STATUS_INTERRUPTED = "interrupted"


@dataclass
class Outcome:
    """What became of one row.

    Attributes:
        row: The backend, with the checkpoint that is weighed and timed.
        status: One of the ``STATUS_`` values; interrupted until all phases are over.
        reason: Why the status is not ok.
        fix: What would mend it, unless the reason says so.
        failures: What went wrong, as in ``run.json``.
    """

    row: Row
    status: str = STATUS_INTERRUPTED
    reason: str | None = "the run was interrupted"
    fix: str | None = "Go on: the same command with --resume"
    failures: list[Record] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the row is called."""
        return self.row.name

    @property
    def alive(self) -> bool:
        """Whether nothing ended it yet."""
        return self.status == STATUS_INTERRUPTED

    def end(self, status: str, reason: str | None = None, fix: str | None = None) -> None:
        """Sets how it ended."""
        self.status, self.reason, self.fix = status, reason, fix

    def fail(self, phase: str, failure: BackendFailure, unit: Unit | None = None) -> None:
        """Ends it with a failure."""
        self.failures.append(
            {
                "phase": phase,
                "protocol": unit.protocol if unit else None,
                "condition": unit.condition if unit else None,
                "kind": failure.kind,
                "reason": str(failure),
                "traceback": failure.traceback,
            }
        )
        options = "".join(f" --{name} {value}" for name, value in self.row.options.items())
        trial = (
            f"Try it alone: python -m inference.predict FILE --backend {self.row.spec.name} "
            f"--checkpoint {portable_path(self.row.checkpoint)}{options}"
        )
        # A refusal says itself what to do.
        self.end(STATUS_FAILED, str(failure), None if failure.kind == "refused" else trial)

    @contextmanager
    def noting_failures(self, phase: str) -> Iterator[None]:
        """Turns what a backend does wrong inside into how it ended."""
        try:
            yield
        except BackendUnavailable as missing:
            self.end(STATUS_UNAVAILABLE, str(missing), missing.fix)
        except GivenUp as end:
            self.fail(phase, end.failure, end.unit)
        except BackendFailure as failure:
            self.fail(phase, failure)


def note_failures(outcomes: Sequence[Outcome], failures: Mapping[str, BackendFailure], phase: str) -> None:
    """Ends the rows that failed in a phase of all of them together."""
    for outcome in outcomes:
        if outcome.name in failures:
            outcome.fail(phase, failures[outcome.name])
