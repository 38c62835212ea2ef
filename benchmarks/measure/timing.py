"""The timed phases over all rows: interleaved rounds, sweeps, cold starts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.measure.cold import time_cold_starts
from benchmarks.measure.latency import clip_pool, time_rounds, warm_up
from benchmarks.run.inputs import progress, say
from benchmarks.run.records import COLD_FILE, LATENCY_FILE, LOADS_FILE, Record, fresh_record_writer
from benchmarks.run.settings import Settings
from benchmarks.run.status import Outcome, note_failures
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip

#: Of the free memory that loaded backends may fill together; beyond it they are timed in pairs.
RESIDENT_SHARE = 0.6

Write = Callable[[Record], None]


def time_latency(
    outcomes: Sequence[Outcome],
    clips: Sequence[StoredClip],
    settings: Settings,
    results: Path,
    rss_bytes: Mapping[str, int | None],
) -> None:
    """Times all rows in rounds, and sweeps over threads and batch sizes.

    Args:
        outcomes: One per row; those that fail end here.
        clips: What to draw from.
        settings: Rounds, threads, sweeps and time limits.
        results: The result folder.
        rss_bytes: Row -> peak resident memory, to see how many fit side by side.
    """
    pool = clip_pool(clips, settings.pool_size)
    with (
        fresh_record_writer(results / LATENCY_FILE) as write,
        fresh_record_writer(results / LOADS_FILE) as write_load,
    ):
        for threads in (settings.threads, *settings.sweep_threads):
            main = threads == settings.threads
            chosen = replace(settings, threads=threads, sweep_batches=settings.sweep_batches if main else ())
            if not main:
                chosen = replace(chosen, rounds=settings.sweep_rounds)
            groups = resident_groups([outcome for outcome in outcomes if outcome.alive], rss_bytes)
            for number, group in enumerate(groups):
                _time_group(group, pool, chosen, number * chosen.rounds, write, write_load)


def resident_groups(
    outcomes: Sequence[Outcome],
    rss_bytes: Mapping[str, int | None],
    free_bytes: int | None = None,
) -> list[list[Outcome]]:
    """All rows together, or where memory is short each with the first one, the reference of the ratios."""
    import psutil

    free = psutil.virtual_memory().available if free_bytes is None else free_bytes
    needed = sum(rss_bytes.get(outcome.name) or 0 for outcome in outcomes)
    if len(outcomes) < 3 or needed < RESIDENT_SHARE * free:
        return [list(outcomes)] if outcomes else []
    return [[outcomes[0], other] for other in outcomes[1:]]


def time_cold(
    outcomes: Sequence[Outcome], clips: Sequence[StoredClip], settings: Settings, results: Path
) -> None:
    """Starts all rows several times, in turn."""
    alive = [outcome for outcome in outcomes if outcome.alive]
    say(f"cold starts: {settings.cold_starts} of each backend")
    with fresh_record_writer(results / COLD_FILE) as write:
        failures = time_cold_starts(
            [outcome.row for outcome in alive],
            clips[0],
            settings,
            write,
            lambda starts: progress(starts, "start"),
        )
    note_failures(alive, failures, "cold")


def _time_group(
    group: Sequence[Outcome],
    pool: Sequence[StoredClip],
    settings: Settings,
    first_round: int,
    write: Write,
    write_load: Write,
) -> None:
    """Loads some rows side by side and times them, batch size after batch size."""
    with ExitStack() as stack:
        processes: dict[str, BackendProcess] = {}
        for outcome in group:
            with outcome.noting_failures("latency"):
                process = stack.enter_context(BackendProcess(outcome.row, settings, offline=True))
                write_load(_load(process, outcome.name, settings.threads, pool))
                processes[outcome.name] = process
        for batch in (1, *settings.sweep_batches):
            alive = {o.name: processes[o.name] for o in group if o.alive}
            if alive:
                rounds = settings.rounds if batch == 1 else settings.sweep_rounds
                say(
                    f"latency: {rounds} rounds of {', '.join(alive)}, "
                    f"{settings.threads} thread(s), {batch} clip(s) a call"
                )
                failures = time_rounds(
                    alive,
                    pool,
                    range(first_round, first_round + rounds),
                    settings.seed,
                    write,
                    settings.threads,
                    batch,
                    lambda numbers: progress(numbers, "round"),
                )
                note_failures(group, failures, "latency")


def _load(process: BackendProcess, name: str, threads: int, pool: Sequence[StoredClip]) -> Record:
    loaded = process.open()
    first_ns = process.predict(pool[0])["t_ns"]["e2e"]
    return {
        "backend": name,
        "threads": threads,
        "load_seconds": loaded["load_seconds"],
        "first_call_ms": first_ns / 1e6,
        "warmup_calls": warm_up(process, pool),
    }
