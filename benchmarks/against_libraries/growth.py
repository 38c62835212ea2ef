"""How the cost of a clip grows with its length and the batch, beside what the machine could do at best."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from benchmarks.against_libraries.comparisons import Comparison
from benchmarks.against_libraries.measure import CLIP_SECONDS, fit_length
from benchmarks.records.run_record import Settings
from benchmarks.text_table import markdown_grid
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip, StoreWriter

SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
#: A point is the median of this many calls, or of fewer when they take longer than this together.
CALLS, MAX_SECONDS = 9, 1.5
#: Bytes of a number in each arithmetic that a backend may multiply in, ``Backend.arithmetic``.
NUM_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
#: Of the matrices whose product is timed: they fit the caches, and one product is over before another
#: process is due on a shared processor.
MATRIX_ROWS = 512
#: How long a piece of work is repeated; its best time counts.
TRIAL_SECONDS = 0.5

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

    Returns:
        ``rates`` of the machine and ``points``, a JSON document.
    """
    rates = measure_rates(threads)
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
                    limit_ms, set_by = least_ms(
                        rates, reading_ms / batch, work["multiply_accumulates"] or 0, model["arithmetic"]
                    )
                    points.append(
                        {
                            "variant": comparison.variant,
                            "seconds": seconds,
                            "batch": batch,
                            "ms_per_clip": ms,
                            "limit_ms": limit_ms,
                            "limit_set_by": set_by,
                        }
                    )
    return {"rates": rates, "threads": threads, "points": points}


def least_ms(
    rates: Mapping[str, float], reading_ms: float, multiply_accumulates: float, arithmetic: str
) -> tuple[float, str]:
    """No faster than the weights are read, nor than the processor multiplies.

    Returns:
        Milliseconds, and what takes them: "weights" or the arithmetic.
    """
    multiplying_ms = 1e3 * multiply_accumulates / rates[arithmetic]
    return max((reading_ms, "weights"), (multiplying_ms, arithmetic))


def measure_rates(threads: int) -> dict[str, float]:
    """Arithmetic -> multiply-accumulates per second, the best of products of matrices."""
    matrix = np.ones((MATRIX_ROWS, MATRIX_ROWS), np.float32)
    brain_floats = torch.ones(MATRIX_ROWS, MATRIX_ROWS, dtype=torch.bfloat16)
    bytes_ = torch.ones(MATRIX_ROWS, MATRIX_ROWS, dtype=torch.int8)
    products: dict[str, Callable[[], object]] = {
        "float32": lambda: matrix @ matrix,
        "bfloat16": lambda: brain_floats @ brain_floats,
        # The one product of 8-bit matrices that a required library has; their sums are of 32 bits.
        "int8": lambda: torch._int_mm(bytes_, bytes_),
    }
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        return {name: MATRIX_ROWS**3 / _best_seconds(product) for name, product in products.items()}


def measure_reading_ms(num_bytes: int, threads: int) -> float:
    """Milliseconds to read that much again and again, from memory or from the cache that holds it."""
    array = np.ones(max(num_bytes // 4, 1), np.float32)
    with threadpool_limits(threads):
        return 1e3 * _best_seconds(lambda: np.dot(array, array))


def _best_seconds(work: Callable[[], object]) -> float:
    work()
    best = float("inf")
    end = time.perf_counter() + TRIAL_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def _median_ms(process: BackendProcess, clips: list[StoredClip]) -> float:
    times = [process.predict(*clips)["t_ns"]["e2e"] / 1e6 for _ in range(2)][1:]
    while len(times) < CALLS and sum(times) < 1e3 * MAX_SECONDS:
        times.append(process.predict(*clips)["t_ns"]["e2e"] / 1e6)
    return statistics.median(times)


def growth_lines(growth: Growth) -> list[str]:
    """The points as a table in Markdown, with the rates that the limit is made of."""
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
    rates = [f"{rate / 1e9:.0f} G a second in {name}" for name, rate in growth["rates"].items()]
    note = (
        "limit: reading all weights once a batch, timed as a dot product of as many bytes, or multiplying at "
        f"{', '.join(rates)} (product of "
        f"{MATRIX_ROWS} x {MATRIX_ROWS}), whichever takes longer; both the best of many, {growth['threads']} "
        "thread(s). A backend counts by its narrowest arithmetic, although parts of it use a wider one."
    )
    return [*markdown_grid(HEADING, rows), "", note]


def plot_growth(growth: Growth, folder: Path) -> None:
    """Draws the points as ``growth.svg``: measured solid, limit dashed."""
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
