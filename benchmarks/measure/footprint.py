"""How much room a backend takes: a fresh process that loads it, answers some clips and is asked.

This is also the first time a run meets a backend, so missing packages and weights show here, what has
to be fetched is fetched here and not inside a timed load, and the times of the calls tell how long the
rest will take.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.records.measurements import Cost, Footprint, MemoryByPhase, ResidentMemory
from benchmarks.records.run_record import Settings
from benchmarks.run.content_hashes import weights_hash
from benchmarks.run.entries import Entry
from benchmarks.run.progress import say
from benchmarks.run.status import EntryStatus
from benchmarks.run.subset import stratified_subset
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip

#: Calls where the memory is not measured: enough to estimate how long the rest takes.
FEW_CALLS = 3


def measure_sizes(
    statuses: Sequence[EntryStatus],
    clips: Sequence[StoredClip],
    settings: Settings,
    phases: Sequence[str],
    known: Mapping[str, Footprint],
    write: Callable[[Footprint], object],
) -> list[Footprint]:
    """Meets every entry for the first time: size, memory, and how long a call takes.

    Args:
        statuses: One per entry; those that cannot run end here.
        phases: Memory is read over fewer calls if it is not among them.
        known: Entry -> record of an earlier start of this run.

    Returns:
        One record of ``footprint.jsonl`` per entry that can run.
    """
    num_calls = settings.memory_calls if "memory" in phases else FEW_CALLS
    records = []
    for status in statuses:
        if status.name in known:
            records.append(known[status.name])
            continue
        say(f"{status.name}: size and memory")
        with status.catch_failures("memory"):
            records.append(measure_footprint(status.entry, clips, settings, num_calls))
            write(records[-1])
    return records


def measure_footprint(
    entry: Entry, clips: Sequence[StoredClip], settings: Settings, num_calls: int = FEW_CALLS
) -> Footprint:
    """Loads a backend in a fresh process, predicts some clips and reads its size and memory.

    The peak is reset between the phases, so that each has its own.

    Args:
        clips: What to draw from; the longest one is always among the calls.
        num_calls: Predictions before the steady memory is read.

    Returns:
        A line of ``footprint.jsonl``.

    Raises:
        BackendUnavailable: If a package or weights are missing.
        BackendFailure: If it raises, crashes or hangs.
    """
    longest = max(clips, key=lambda clip: clip.num_samples)
    chosen = [longest, *stratified_subset(clips, num_calls - 1)]
    chosen = [chosen[number % len(chosen)] for number in range(num_calls)]
    memory: dict[str, ResidentMemory] = {}
    with BackendProcess(entry, settings) as process:

        def read_memory(phase: str) -> bool:
            found = process.memory()
            memory[phase] = ResidentMemory(found["peak_rss_bytes"], found["rss_bytes"])
            return bool(found["reset"])

        process.start()
        resets = read_memory("start")
        imported = process.import_libraries()
        read_memory("imports")
        loaded = process.load()
        read_memory("load")
        process.predict(chosen[0])
        read_memory("first_call")
        call_s = statistics.median(process.predict(clip)["t_ns"]["e2e"] for clip in chosen) / 1e9
        read_memory("steady")
        size = process.size()
        load_s = (imported["at_ns"] - process.asked_for_ns) / 1e9 + loaded["load_seconds"]
    peaks = [phase.peak_rss_bytes for phase in memory.values() if phase.peak_rss_bytes]
    return Footprint(
        backend=entry.name,
        zero_shot=loaded["zero_shot"],
        device=loaded["device"],
        **{key: value for key, value in size.items() if key != "at_ns"},
        peak_rss_bytes=max(peaks, default=None),
        memory=MemoryByPhase(method="clear_refs" if resets else "peak since start", **memory),
        cost=Cost(load_s, call_s),
        weights=weights_hash(entry),
    )
