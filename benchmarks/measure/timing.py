"""The timed phases over all entries: interleaved rounds, cold starts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure.latency import clip_pool, time_rounds, warm_up
from benchmarks.records.files import COLD_FILE, LATENCY_FILE, LOADS_FILE, fresh_record_writer
from benchmarks.records.measurements import ColdSeconds, ColdStart, LoadRecord, TimedCall
from benchmarks.records.run_record import Settings
from benchmarks.run.entries import Entry
from benchmarks.run.progress import progress, say
from benchmarks.run.status import EntryStatus
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip

#: Of the free memory that loaded backends may fill together; beyond it they are timed in pairs.
RESIDENT_SHARE = 0.6


def time_latency(
    statuses: Sequence[EntryStatus],
    clips: Sequence[StoredClip],
    settings: Settings,
    results: Path,
    rss_bytes: Mapping[str, int | None],
) -> None:
    """Times all entries in rounds.

    Args:
        statuses: One per entry; those that fail end here.
        rss_bytes: Entry -> peak resident memory, to see how many fit side by side.
    """
    pool = clip_pool(clips, settings.pool_size)
    with (
        fresh_record_writer(results / LATENCY_FILE) as write,
        fresh_record_writer(results / LOADS_FILE) as write_load,
    ):
        groups = resident_groups([status for status in statuses if status.is_running], rss_bytes)
        for number, group in enumerate(groups):
            _time_group(group, pool, settings, number * settings.rounds, write, write_load)


def resident_groups(
    statuses: Sequence[EntryStatus],
    rss_bytes: Mapping[str, int | None],
    free_bytes: int | None = None,
) -> list[list[EntryStatus]]:
    """All entries together, or where memory is short each with the first one, the reference of the ratios."""
    import psutil

    free = psutil.virtual_memory().available if free_bytes is None else free_bytes
    needed = sum(rss_bytes.get(status.name) or 0 for status in statuses)
    if len(statuses) < 3 or needed < RESIDENT_SHARE * free:
        return [list(statuses)] if statuses else []
    return [[statuses[0], other] for other in statuses[1:]]


def time_cold(
    statuses: Sequence[EntryStatus], clips: Sequence[StoredClip], settings: Settings, results: Path
) -> None:
    """Starts all entries several times, in turn, so that all of them meet the same machine.

    The page cache is warm: the files were read before.
    """
    say(f"cold starts: {settings.cold_starts} of each backend")
    with fresh_record_writer(results / COLD_FILE) as write:
        for repeat in progress(range(settings.cold_starts), "start"):
            for status in (status for status in statuses if status.is_running):
                with status.catch_failures("cold"):
                    write(ColdStart(status.name, repeat, cold_start(status.entry, clips[0], settings)))


def cold_start(entry: Entry, clip: StoredClip, settings: Settings) -> ColdSeconds:
    """Seconds of each step of one start."""
    with BackendProcess(entry, settings, offline=True) as process:
        started_ns = process.start()["started_ns"]
        imported_ns = process.import_libraries()["at_ns"]
        loaded_ns = process.load()["at_ns"]
        answered_ns = process.predict(clip)["at_ns"]
        asked_ns = process.asked_for_ns
    return ColdSeconds(
        interpreter=(started_ns - asked_ns) / 1e9,
        imports=(imported_ns - started_ns) / 1e9,
        load=(loaded_ns - imported_ns) / 1e9,
        first_prediction=(answered_ns - loaded_ns) / 1e9,
        total=(answered_ns - asked_ns) / 1e9,
    )


def _time_group(
    group: Sequence[EntryStatus],
    pool: Sequence[StoredClip],
    settings: Settings,
    first_round: int,
    write: Callable[[TimedCall], None],
    write_load: Callable[[LoadRecord], None],
) -> None:
    """Loads some entries side by side and times them."""
    with ExitStack() as stack:
        loaded = []
        for status in (status for status in group if status.is_running):
            with status.catch_failures("latency"):
                process = stack.enter_context(BackendProcess(status.entry, settings, offline=True))
                write_load(_load(process, status.name, settings.threads, pool))
                loaded.append((status, process))
        if loaded:
            names = ", ".join(status.name for status, _ in loaded)
            say(f"latency: {settings.rounds} rounds of {names}, {settings.threads} thread(s)")
            time_rounds(loaded, pool, range(first_round, first_round + settings.rounds), settings, write)


def _load(process: BackendProcess, name: str, threads: int, pool: Sequence[StoredClip]) -> LoadRecord:
    loaded = process.open()
    first_ns = process.predict(pool[0])["t_ns"]["e2e"]
    return LoadRecord(name, threads, loaded["load_seconds"], first_ns / 1e6, warm_up(process, pool))
