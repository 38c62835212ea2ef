"""How the cost of a clip grows with its length and the batch, beside what the machine could do at best."""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.against_libraries.comparisons import Comparison
from benchmarks.against_libraries.machine import MATRIX_ROWS, NUM_BYTES, measure_limits, measure_reading_ms
from benchmarks.against_libraries.measure import CLIP_SECONDS, fit_length
from benchmarks.records.run_record import Settings
from benchmarks.text_table import align, markdown_grid
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip, StoreWriter

SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
#: A point is the median of this many calls, or of fewer when they take longer than this together.
CALLS, MAX_SECONDS = 9, 1.5

PICTURE = "growth.svg"
HEADING = ("backend", "s", "batch", "ms per clip", "limit ms", "limit set by", "share of limit")

Growth = dict[str, Any]


def measure_growth(comparisons: Sequence[tuple[Comparison, str]], clip: np.ndarray, threads: int) -> Growth:
    """Times our side of each comparison: one clip of every length, and every batch of equal clips.

    The limit is the larger of two times: that of reading all weights once per batch, and that of the
    multiplications, each as measured on this machine and in the narrowest arithmetic of the backend.

    Args:
        comparisons: What to time, with the checkpoint; each variant once.
        clip: Waveform that is cut or repeated to the lengths.
        threads: CPU threads.

    Returns:
        ``limits`` of the machine and ``points``, a JSON document.
    """
    limits = measure_limits(threads)
    settings = Settings(threads=threads)
    points = []
    with tempfile.TemporaryDirectory(prefix="spoken-digits-") as scratch:
        with StoreWriter(Path(scratch) / "clips.f32") as store:
            stored = {
                seconds: store.add(fit_length(clip, seconds), f"{seconds:g} s", None, "")
                for seconds in SECONDS
            }
        for comparison, checkpoint in {pair[0].variant: pair for pair in comparisons}.values():
            with BackendProcess(comparison.entries(checkpoint)[0], settings, offline=True) as process:
                process.open()
                model = process.work(0)
                weight_bytes = (model["parameters"] or 0) * NUM_BYTES[model["arithmetic"]]
                reading_ms = measure_reading_ms(weight_bytes, threads)
                for seconds, batch in (
                    *((seconds, 1) for seconds in SECONDS),
                    *((CLIP_SECONDS, batch) for batch in BATCHES[1:]),
                ):
                    ms = _median_ms(process, [stored[seconds]] * batch) / batch
                    work = process.work(stored[seconds].num_samples)
                    least_ms, set_by = limits.least_ms(
                        reading_ms / batch, work["multiply_accumulates"] or 0, model["arithmetic"]
                    )
                    points.append(
                        {
                            "variant": comparison.variant,
                            "seconds": seconds,
                            "batch": batch,
                            "ms_per_clip": ms,
                            "limit_ms": least_ms,
                            "limit_set_by": set_by,
                        }
                    )
    return {"limits": asdict(limits), "threads": threads, "points": points}


def _median_ms(process: BackendProcess, clips: list[StoredClip]) -> float:
    times = [process.predict(*clips)["t_ns"]["e2e"] / 1e6 for _ in range(2)][1:]
    while len(times) < CALLS and sum(times) < 1e3 * MAX_SECONDS:
        times.append(process.predict(*clips)["t_ns"]["e2e"] / 1e6)
    return statistics.median(times)


def growth_lines(growth: Growth, markdown: bool) -> list[str]:
    """The points as a table, with the rates that the limit is made of."""
    rows = [
        [
            point["variant"],
            f"{point['seconds']:g}",
            str(point["batch"]),
            f"{point['ms_per_clip']:.3g}",
            f"{point['limit_ms']:.3g}",
            point["limit_set_by"],
            f"{100 * point['limit_ms'] / point['ms_per_clip']:.0f} %",
        ]
        for point in growth["points"]
    ]
    rates = growth["limits"]["multiply_accumulates_per_s"]
    note = (
        "limit: reading all weights once a batch, timed as a dot product of as many bytes, or multiplying at "
        f"{', '.join(f'{rate / 1e9:.0f} G a second in {name}' for name, rate in rates.items())} (product of "
        f"{MATRIX_ROWS} x {MATRIX_ROWS}), whichever takes longer; both the best of many, {growth['threads']} "
        "thread(s). A backend counts by its narrowest arithmetic, although parts of it use a wider one."
    )
    return [*markdown_grid(HEADING, rows), "", note] if markdown else [*align([HEADING, *rows]), note]


def plot_growth(growth: Growth, folder: Path) -> None:
    """Draws the points as ``growth.svg`` and ``growth.png``: measured solid, limit dashed."""
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    by_length, by_batch = figure.subplots(1, 2, sharey=True)
    variants = list(dict.fromkeys(point["variant"] for point in growth["points"]))
    for place, variant in enumerate(variants):
        colour = f"C{place}"
        points = [point for point in growth["points"] if point["variant"] == variant]
        alone = [point for point in points if point["batch"] == 1]
        batches = [point for point in points if point["seconds"] == CLIP_SECONDS]
        for axes, chosen, key in ((by_length, alone, "seconds"), (by_batch, batches, "batch")):
            places, measured, limit = zip(
                *((point[key], point["ms_per_clip"], point["limit_ms"]) for point in chosen), strict=True
            )
            axes.plot(places, measured, color=colour, marker="o", label=variant)
            axes.plot(places, limit, color=colour, linestyle="--", alpha=0.6)
    for axes, label, ticks in (
        (by_length, "length of the clip in s, one a call", SECONDS),
        (by_batch, f"clips of {CLIP_SECONDS:g} s in a call", BATCHES),
    ):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(label)
        axes.grid(visible=True, alpha=0.25)
    by_length.set_ylabel("ms per clip; dashed: limit")
    figure.legend(
        *by_length.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small"
    )
    # No date and fixed ids: the same figures give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "spoken-digits", "svg.fonttype": "none"}):
        figure.savefig(folder / PICTURE, metadata={"Date": None})
    figure.savefig((folder / PICTURE).with_suffix(".png"), dpi=150)
