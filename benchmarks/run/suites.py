"""The suites: named choices of what to measure and how thoroughly."""

from collections.abc import Mapping
from dataclasses import dataclass

PHASES = ("accuracy", "latency", "cold", "memory", "size", "robustness")

#: Fewest rounds that a budget leaves: those that carry a 95th percentile.
LEAST_ROUNDS = 72


@dataclass(frozen=True)
class Suite:
    """What is measured unless the command line says otherwise.

    Attributes:
        summary: One line for ``--help``.
        backends: Entries; None for all of the table.
        conditions: Which conditions of the robustness phase: a name known to ``benchmarks.conditions.table``.
        budget_s: Seconds to stay in; None for as long as it takes.
    """

    summary: str
    backends: tuple[str, ...] | None = None
    protocols: tuple[str, ...] = ("auto",)
    phases: tuple[str, ...] = ("accuracy", "latency", "memory", "size")
    rounds: int = LEAST_ROUNDS
    limit: int | None = None
    conditions: str = "standard"
    budget_s: float | None = None


DEFAULT_SUITE = Suite("all backends, without cold starts and robustness")
SUITES: Mapping[str, Suite] = {
    "smoke": Suite(
        "60 clips and few rounds of the small baseline, under a minute",
        backends=("mfcc",),
        phases=PHASES,
        rounds=12,
        limit=60,
        conditions="smoke",
    ),
    "standard": Suite(
        "all backends, also leave one speaker out, at most 20 minutes",
        protocols=("auto", "loso"),
        phases=PHASES,
        rounds=120,
        budget_s=20 * 60,
    ),
    "full": Suite(
        "everything, however long it takes",
        protocols=("auto", "loso"),
        phases=PHASES,
        rounds=400,
        conditions="full",
    ),
}
