"""How much room a backend takes: a fresh process that loads it, answers some clips and is asked.

This is also the first time a run meets a backend, so missing packages and weights show here, what has
to be fetched is fetched here and not inside a timed load, and the times of the calls tell how long the
rest will take.
"""

import statistics
from collections.abc import Sequence

from benchmarks.run.entries import Row
from benchmarks.run.protocol import stratified_subset
from benchmarks.run.records import Record
from benchmarks.run.settings import Settings
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip

#: Calls where the memory is not measured: enough to estimate how long the rest takes.
FEW_CALLS = 3


def measure_footprint(
    row: Row, clips: Sequence[StoredClip], settings: Settings, num_calls: int = FEW_CALLS
) -> Record:
    """Loads a backend in a fresh process, predicts some clips and reads its size and memory.

    The peak is reset between the phases, so that each has its own.

    Args:
        row: The backend.
        clips: What to draw from; the longest one is always among the calls.
        settings: Threads and time limits.
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
    with BackendProcess(row, settings) as process:
        process.start()
        memory = {"start": _memory(process)}
        resets = process.reset_peak()
        imported = process.import_libraries()
        memory["imports"] = _memory(process)
        process.reset_peak()
        loaded = process.load()
        memory["load"] = _memory(process)
        process.reset_peak()
        process.predict(chosen[0])
        memory["first_call"] = _memory(process)
        process.reset_peak()
        call_s = statistics.median(process.predict(clip)["t_ns"]["e2e"] for clip in chosen) / 1e9
        memory["steady"] = _memory(process)
        size = process.size()
        load_s = (imported["at_ns"] - process.asked_for_ns) / 1e9 + loaded["load_seconds"]
    peaks = [phase["peak_rss_bytes"] for phase in memory.values() if phase["peak_rss_bytes"]]
    return {
        "backend": row.name,
        "zero_shot": loaded["zero_shot"],
        "device": loaded["device"],
        **{key: value for key, value in size.items() if key != "at_ns"},
        "peak_rss_bytes": max(peaks, default=None),
        "memory": {"method": "clear_refs" if resets else "peak since start", **memory},
        "pace": {"load_s": load_s, "call_s": call_s},
    }


def _memory(process: BackendProcess) -> dict[str, int | None]:
    memory = process.memory()
    return {name: memory[name] for name in ("peak_rss_bytes", "rss_bytes")}
