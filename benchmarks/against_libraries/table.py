"""The comparison as a table in Markdown, which is readable as plain text, too."""

import statistics
from collections.abc import Sequence

from benchmarks.against_libraries.measure import Result
from benchmarks.text_table import markdown_grid
from inference.backends.encoder.select_runtime import RuntimeChoice
from inference.backends.encoder.trial import TrialResult

HEADING = (
    "ours",
    "plain call",
    "clips",
    "ours ms",
    "plain ms",
    "times faster [95 %]",
    "same label",
    "ours right %",
    "plain right %",
    "max dP",
    "ours MB",
    "plain MB",
)
LEGEND = (
    "clips: per call, of 0.5 s if one, of mixed lengths if more. ms: median of a call, waveforms in memory "
    "to labels. times faster: median over paired rounds, block bootstrap. max dP: largest difference of a "
    "label's probability. MB: peak resident memory of each process."
)
PRECISION_HEADING = ("backend", "runtime, precision", "one clip ms", "same label", "max dP", "chosen")
PRECISION_LEGEND = (
    "What `auto` tried on this processor, in turns, on clips that ship: the time is that of one of them, one "
    "thread, after features. Ratios and choice hold for processors with the same instruction sets."
)
STAND_IN_NOTE = (
    "* random weights in the public architecture: times and memory count, its labels mean nothing."
)


def rows(results: Sequence[Result]) -> list[list[str]]:
    """One row per comparison."""
    return [
        [
            result.comparison.variant + ("*" if result.stand_in else ""),
            result.comparison.plain_call,
            str(result.comparison.batch_size),
            f"{statistics.median(result.ours_ms):.3g}",
            f"{statistics.median(result.plain_ms):.4g}",
            f"{result.ratio:.1f}" + _bounds(result.ratio_bounds),
            f"{result.same_labels}/{result.num_clips}",
            *(_percent(right, result.num_clips) for right in (result.ours_right, result.plain_right)),
            _difference(result.max_probability_difference),
            _megabytes(result.ours_peak_rss_bytes),
            _megabytes(result.plain_peak_rss_bytes),
        ]
        for result in results
    ]


def sentence(result: Result) -> str:
    """What is told as soon as a row is there."""
    cells = dict(zip(HEADING, rows([result])[0], strict=True))
    return (
        f"{cells['ours']}, {cells['clips']} a call: {cells['ours ms']} ms; {cells['plain call']}: "
        f"{cells['plain ms']} ms; {cells['times faster [95 %]']} times faster, "
        f"same label {cells['same label']}"
    )


def precision_rows(backend: str, chosen: RuntimeChoice, tried: Sequence[TrialResult]) -> list[list[str]]:
    """One row per runtime and precision that was tried for a backend."""
    return [
        [
            backend,
            f"{one.runtime} {one.precision}",
            f"{one.one_clip_ms:.3g}",
            f"{100 * one.label_agreement:.0f} %",
            _difference(one.max_probability_difference),
            "yes" if RuntimeChoice(one.runtime, one.precision) == chosen else "" if one.agrees else "refused",
        ]
        for one in sorted(tried, key=lambda one: one.one_clip_ms)
    ]


def table_lines(results: Sequence[Result], failures: Sequence[str]) -> list[str]:
    """The table as Markdown, with what the reader must know."""
    marked = [STAND_IN_NOTE] if any(result.stand_in for result in results) else []
    return [*markdown_grid(HEADING, rows(results)), "", LEGEND, *marked, *failures]


def precision_lines(tried: Sequence[Sequence[str]]) -> list[str]:
    """What ``precision_rows`` gave, as Markdown."""
    return [*markdown_grid(PRECISION_HEADING, tried), "", PRECISION_LEGEND]


def _bounds(bounds: tuple[float, float] | None) -> str:
    return f" [{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else ""


def _percent(right: int | None, num_clips: int) -> str:
    return "-" if right is None else f"{100 * right / num_clips:.1f}"


def _difference(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.0f}"
