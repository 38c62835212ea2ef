"""Ours and the plain call in turns, on the same clips: times, answers, memory."""

import math
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.environment import load_average
from benchmarks.peers.comparisons import Comparison
from benchmarks.peers.side import Answer, Side
from benchmarks.uncertainty import ratio_interval
from inference.audio import SAMPLING_RATE

#: Length of a clip where one is answered at a time.
CLIP_SECONDS = 0.5


@dataclass(frozen=True)
class Result:
    """What one comparison gave.

    Attributes:
        comparison: The row.
        checkpoint: What both sides loaded.
        stand_in: Whether that is random weights.
        ours_ms: Milliseconds per call, one per round.
        plain_ms: The same of the plain call.
        same_labels: Clips that both gave the same label, or none.
        num_clips: Clips answered in the timed calls.
        max_probability_difference: Largest difference of a label's probability; None where one side
            has no probabilities.
        ours_peak_rss_bytes: Peak resident memory of our process.
        plain_peak_rss_bytes: That of the other.
        load_average: Runnable processes of the machine before and after, over a minute.
    """

    comparison: Comparison
    checkpoint: str
    stand_in: bool
    ours_ms: tuple[float, ...]
    plain_ms: tuple[float, ...]
    same_labels: int
    num_clips: int
    max_probability_difference: float | None
    ours_peak_rss_bytes: int | None
    plain_peak_rss_bytes: int | None
    load_average: tuple[float | None, float | None]

    @property
    def ratio(self) -> float:
        """How many times faster ours is: the median over rounds of plain / ours."""
        return math.exp(statistics.median(self._log_ratios))

    @property
    def ratio_bounds(self) -> tuple[float, float] | None:
        """95 % interval of ``ratio``; None with too few rounds."""
        interval = ratio_interval(self._log_ratios)
        return (interval.low, interval.high) if interval else None

    @property
    def _log_ratios(self) -> list[float]:
        return [math.log(plain / ours) for plain, ours in zip(self.plain_ms, self.ours_ms, strict=True)]

    def as_record(self) -> dict[str, Any]:
        """A JSON document: the fields and what follows from them."""
        return {
            **asdict(self),
            "ours_p50_ms": statistics.median(self.ours_ms),
            "plain_p50_ms": statistics.median(self.plain_ms),
            "ratio": self.ratio,
            "ratio_interval": self.ratio_bounds,
        }


def compare(
    comparison: Comparison,
    checkpoint: str,
    stand_in: bool,
    clips: Sequence[np.ndarray],
    rounds: int,
    threads: int,
    seed: int,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Result:
    """Times both sides, each in a process that sleeps while the other works.

    Every timed call follows a discarded one on another clip, which brings code and weights back into
    the caches that the other side has used. The sides take turns in going first.

    Args:
        comparison: What is compared.
        checkpoint: What both load.
        stand_in: Whether that is random weights.
        clips: Waveforms to draw from, without replacement until all were used.
        rounds: Timed calls of each side.
        threads: CPU threads of each side.
        seed: Of the order of clips.
        progress: Wraps the iteration over rounds.

    Raises:
        UserError: If a side cannot be loaded.
    """
    draw = _shuffled(clips, random.Random(seed))
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    same = answered = 0
    differences: list[float] = []
    # What a backend prepares at its very first load, such as an exported network, is in no figure.
    Side(comparison.import_path, checkpoint, threads, comparison.options).close()
    load_before = _load()
    with (
        Side(comparison.import_path, checkpoint, threads, comparison.options) as ours,
        Side(comparison.plain_path, checkpoint, threads) as plain,
    ):
        sides = {"ours": ours, "plain": plain}
        for number in progress(range(rounds)):
            settle = [next(draw)]
            batch = [next(draw) for _ in range(comparison.batch_size)]
            answers: dict[str, Answer] = {}
            for name in sorted(sides, reverse=bool(number % 2)):
                sides[name].predict(settle)
                answers[name] = sides[name].predict(batch)
                times[name].append(answers[name].elapsed_ns / 1e6)
            first, second = answers["ours"], answers["plain"]
            same += sum(a == b for a, b in zip(first.labels, second.labels, strict=True))
            answered += len(batch)
            for one, other in zip(first.probabilities, second.probabilities, strict=True):
                if one is not None and other is not None:
                    differences.append(float(np.abs(np.subtract(one, other)).max()))
        memory = [side.facts(int(CLIP_SECONDS * SAMPLING_RATE))["peak_rss_bytes"] for side in (ours, plain)]
    return Result(
        comparison=comparison,
        checkpoint=checkpoint,
        stand_in=stand_in,
        ours_ms=tuple(times["ours"]),
        plain_ms=tuple(times["plain"]),
        same_labels=same,
        num_clips=answered,
        max_probability_difference=max(differences, default=None),
        ours_peak_rss_bytes=memory[0],
        plain_peak_rss_bytes=memory[1],
        load_average=(load_before, _load()),
    )


def fit_length(waveform: np.ndarray, seconds: float) -> np.ndarray:
    """A waveform of exactly that length: cut, or repeated."""
    return np.resize(waveform, round(seconds * SAMPLING_RATE)).astype(np.float32)


def _load() -> float | None:
    load = load_average()
    return load[0] if load else None


def _shuffled(clips: Sequence[np.ndarray], schedule: random.Random) -> Iterator[np.ndarray]:
    while True:
        yield from schedule.sample(clips, len(clips))
