"""The timed phases: interleaved rounds over loaded backends, and cold starts in turn.

In a round every backend answers the same clip, so that all of them meet the same machine. Disturbance by
other work falls on all of them alike, and a ratio of two backends, taken within rounds, is several times
tighter than one of separate measurements.
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.measure.contention import Counters, is_contended
from benchmarks.records.files import COLD_FILE, LATENCY_FILE, LOADS_FILE, fresh_record_writer
from benchmarks.records.measurements import ColdSeconds, ColdStart, LoadRecord, TimedCall
from benchmarks.records.run_record import Settings
from benchmarks.run.entries import Entry
from benchmarks.run.progress import progress, say
from benchmarks.run.status import EntryStatus
from benchmarks.run.subset import shuffled_forever, stratified_subset
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip

#: Warm-up: at least so many calls, and until the median of the last few changes by less than this.
WARM_CALLS = 10
WARM_WINDOW = 5
WARM_TOLERANCE = 0.05
MAX_WARM_CALLS = 60
MAX_WARM_S = 30.0
#: The stages of a call must make up the whole up to this share, or this many nanoseconds.
STAGE_TOLERANCE = 0.02
STAGE_TOLERANCE_NS = 50_000
DURATION_CLASSES = 5
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


def balanced_orders(num_backends: int) -> list[list[int]]:
    """Orders in which every backend stands equally often at each place and after each other one.

    (E. J. Williams, Australian Journal of Scientific Research A 2, 1949, 149-168: one Latin square
    for an even number, a second one mirrored for an odd number.)

    Returns:
        ``num_backends`` or twice as many permutations of ``range(num_backends)``.
    """
    first = [0]
    for step in range(1, num_backends):
        first.append((step + 1) // 2 if step % 2 else num_backends - step // 2)
    square = [[(place + shift) % num_backends for place in first] for shift in range(num_backends)]
    return square + [order[::-1] for order in square] if num_backends % 2 else square


def clip_pool(clips: Sequence[StoredClip], size: int) -> list[StoredClip]:
    """Clips to draw from: as even as possible over speakers and fifths of the durations."""
    ranked = sorted(range(len(clips)), key=lambda place: clips[place].num_samples)
    fifth = {clips[place].clip_id: rank * DURATION_CLASSES // len(clips) for rank, place in enumerate(ranked)}
    return stratified_subset(clips, size, kind=lambda clip: fifth[clip.clip_id])


def warm_up(process: BackendProcess, pool: Sequence[StoredClip]) -> int:
    """Calls a loaded backend until its time has settled; returns the number of calls."""
    started = time.monotonic()
    times: list[int] = []
    while len(times) < MAX_WARM_CALLS and time.monotonic() - started < MAX_WARM_S:
        times.append(process.predict(pool[len(times) % len(pool)])["t_ns"]["e2e"])
        if len(times) >= WARM_CALLS:
            last = statistics.median(times[-WARM_WINDOW:])
            before = statistics.median(times[-2 * WARM_WINDOW : -WARM_WINDOW])
            if abs(last - before) <= WARM_TOLERANCE * before:
                break
    return len(times)


def time_rounds(
    loaded: Sequence[tuple[EntryStatus, BackendProcess]],
    pool: Sequence[StoredClip],
    rounds: Sequence[int],
    settings: Settings,
    write: Callable[[TimedCall], None],
) -> None:
    """Times all backends on the same clips, one call each per round.

    Every timed call follows a discarded one on other clips, which brings the backend's code and
    data back into the caches that its neighbours have used.

    Args:
        loaded: Warm backends, all of them idle while one works; one that fails ends and takes no part in the
            rest.
        pool: Clips to draw from, without replacement until all were used.
        settings: Seed of the order of clips and backends; threads for the records.
    """
    schedule = random.Random(settings.seed)
    clips = shuffled_forever(pool, schedule)
    orders = shuffled_forever(balanced_orders(len(loaded)), schedule)
    for number in progress(rounds, "round"):
        settle_clip, timed_clip = next(clips), next(clips)
        for position, place in enumerate(next(orders)):
            status, process = loaded[place]
            if not status.is_running:
                continue
            with status.catch_failures("latency"):
                before = Counters.now()
                process.predict(settle_clip)
                reply = process.predict(timed_clip)
                lost = Counters.now().since(before)
                write(
                    TimedCall(
                        backend=status.name,
                        round=number,
                        position=position,
                        clip=timed_clip.clip_id,
                        duration_s=timed_clip.duration_s,
                        threads=settings.threads,
                        t_ns=reply["t_ns"],
                        stages_agree=stages_agree(reply["t_ns"]),
                        contention=replace(lost, involuntary_switches=reply["involuntary_switches"]),
                        contended=is_contended(lost),
                    )
                )


def stages_agree(t_ns: Mapping[str, int]) -> bool | None:
    """Whether the stages of a call make up the whole; None for a backend that names none."""
    stages = [value for name, value in t_ns.items() if name not in ("e2e", "cpu")]
    if not stages:
        return None
    return abs(t_ns["e2e"] - sum(stages)) <= max(STAGE_TOLERANCE * t_ns["e2e"], STAGE_TOLERANCE_NS)
