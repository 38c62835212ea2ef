"""What a run was asked for."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.run_record import Settings


@dataclass(frozen=True)
class Request:
    """The options of ``benchmarks.run``, with what the suite puts in place of those not typed.

    Attributes:
        suite: Its name; None for the default.
        speakers: Held-out speakers to measure; None for all.
        limit: Most clips per protocol; None for all.
        budget_s: Seconds to stay in; None for as long as it takes.
        out: Result folder; None for a new one.
    """

    suite: str | None
    backends: tuple[str, ...]
    checkpoints: tuple[str, ...]
    dataset: str
    protocols: tuple[str, ...]
    other_words: Path | None
    speakers: tuple[str, ...] | None
    phases: tuple[str, ...]
    settings: Settings
    conditions: str
    limit: int | None
    budget_s: float | None
    out: Path | None
    allow_leak: bool
    allow_fixture: bool
    plan_only: bool
    resume: bool
    fresh: bool
