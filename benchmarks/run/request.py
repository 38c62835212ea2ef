"""What a run was asked for."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.run_record import Settings


@dataclass(frozen=True)
class Request:
    """What was asked for, nothing left open.

    Attributes:
        suite: Its name; None for the default.
        backends: Entries as typed.
        checkpoints: ``ENTRY=PATH`` as typed.
        dataset: What to load.
        protocols: As typed.
        other_words: Folder of recordings without a word of the vocabulary; None for none.
        speakers: Held-out speakers; None for all.
        phases: Of ``PHASES``.
        settings: How often and how patiently.
        conditions: Which conditions of the robustness phase.
        limit: Most clips per protocol; None for all.
        budget_s: Seconds to stay in; None for as long as it takes.
        out: Result folder; None for a new one.
        allow_leak: Whether checkpoints trained on test clips are measured.
        allow_fixture: Whether stand-in weights are measured.
        plan_only: Whether to print the plan and measure nothing.
        resume: Whether to go on in a result folder.
        fresh: Whether to replace the run of a result folder.
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
