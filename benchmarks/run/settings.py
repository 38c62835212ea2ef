"""How often, how patiently and how much to measure; the suites are named choices of it."""

from collections.abc import Mapping
from dataclasses import dataclass

PHASES = ("accuracy", "latency", "cold", "memory", "size", "robustness")

#: Fewest rounds that a budget leaves: those that carry a 95th percentile.
LEAST_ROUNDS = 72


@dataclass(frozen=True)
class Settings:
    """How often and how patiently to measure.

    Attributes:
        seed: Seed of the splits and of the order of the latency rounds.
        threads: CPU threads per backend.
        rounds: Latency rounds; 72 is the fewest that carry a 95th percentile.
        pool_size: Clips that the latency rounds draw from.
        sweep_threads: Further numbers of threads to time.
        sweep_batches: Further numbers of clips per call to time.
        sweep_rounds: Rounds of each sweep.
        cold_starts: Fresh processes per backend.
        memory_calls: Predictions before the steady memory is read.
        load_timeout_s: Longest time a backend may take to load.
        clip_timeout_s: Longest time one prediction may take.
    """

    seed: int = 0
    threads: int = 1
    rounds: int = LEAST_ROUNDS
    pool_size: int = 120
    sweep_threads: tuple[int, ...] = ()
    sweep_batches: tuple[int, ...] = ()
    sweep_rounds: int = 24
    cold_starts: int = 5
    memory_calls: int = 100
    load_timeout_s: float = 300.0
    clip_timeout_s: float = 30.0


@dataclass(frozen=True)
class Suite:
    """What is measured unless the command line says otherwise.

    Attributes:
        summary: One line for ``--help``.
        backends: Rows; None for all of the table.
        protocols: Splits.
        phases: Of ``PHASES``.
        rounds: Latency rounds.
        limit: Clips per protocol; None for all.
        conditions: Which conditions of the robustness phase: a name known to ``benchmarks.conditions.table``.
        budget_s: Seconds to stay in; None for as long as it takes.
        sweeps: Whether threads and batch sizes are swept.
    """

    summary: str
    backends: tuple[str, ...] | None = None
    protocols: tuple[str, ...] = ("official",)
    phases: tuple[str, ...] = ("accuracy", "latency", "memory", "size")
    rounds: int = LEAST_ROUNDS
    limit: int | None = None
    conditions: str = "standard"
    budget_s: float | None = None
    sweeps: bool = False


DEFAULT_SUITE = Suite("all backends on the official split, without cold starts and robustness")
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
        "all backends, official and leave one speaker out, at most 20 minutes",
        protocols=("official", "loso"),
        phases=PHASES,
        rounds=120,
        budget_s=20 * 60,
    ),
    "full": Suite(
        "everything, however long it takes",
        protocols=("official", "loso"),
        phases=PHASES,
        rounds=400,
        conditions="full",
        sweeps=True,
    ),
}
