"""Ours and the plain call in turns, on the same clips: times, answers, memory."""

import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.against_libraries.comparisons import Comparison
from benchmarks.measure.environment import load_average
from benchmarks.records.run_record import Settings
from benchmarks.reports.uncertainty import least_samples, ratio_interval
from benchmarks.run.entries import portable_path
from benchmarks.run.subset import shuffled_forever
from benchmarks.worker.client import BackendProcess, Reply
from benchmarks.worker.waveform_file import StoredClip
from inference.audio import SAMPLING_RATE

#: Length of a clip where one is answered at a time.
CLIP_SECONDS = 0.5
#: Discarded calls before each timed one: as many as take this long, but no more than that. The first calls
#: after the other side has worked fetch code and weights from memory again, and a model that answers in
#: a fraction of a millisecond needs about ten until it is as fast as in steady use.
SETTLING_MS, MAX_SETTLING_CALLS = 20.0, 12
#: Timed calls of each side: enough for an interval whatever the budget, and no more than say something new.
LEAST_ROUNDS, MOST_ROUNDS = least_samples(0.5), 200
#: Share of the budget for timing; what is left goes to further clips whose answers are compared.
TIMED_SHARE = 0.6
#: Longest time of a call: the first one of librosa compiles for more than half a minute.
CALL_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Result:
    """What one comparison gave.

    Attributes:
        checkpoint: What both sides loaded, without the folders of the machine; a stand-in by its name.
        ours_ms: Milliseconds per call, one per round.
        plain_ms: The same of the plain call.
        same_labels: Clips that both gave the same label, or none.
        max_probability_difference: Largest difference of a label's probability; None where one side
            has no probabilities.
        ours_peak_rss_bytes: Peak resident memory of our process.
        plain_peak_rss_bytes: That of the other.
        load_average: Runnable processes of the machine before and after, over a minute.
        ours_right: Clips that ours answered rightly; None with random weights.
        plain_right: The same of the plain call.
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
    load_average: tuple[float | None, ...]
    ours_right: int | None = None
    plain_right: int | None = None

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


@dataclass
class Tally:
    """How far the answers of two sides agree."""

    same_labels: int = 0
    num_clips: int = 0
    ours_right: int = 0
    plain_right: int = 0
    max_probability_difference: float | None = None

    def count(self, clips: Sequence[StoredClip], ours: Reply, plain: Reply) -> None:
        """Adds the answers to one call."""
        for clip, first, second in zip(clips, ours["predictions"], plain["predictions"], strict=True):
            self.num_clips += 1
            self.ours_right += first["label"] == clip.label
            self.plain_right += second["label"] == clip.label
            self.same_labels += first["label"] == second["label"]
            if first["probabilities"] and second["probabilities"]:
                difference = np.abs(np.subtract(first["probabilities"], second["probabilities"])).max()
                self.max_probability_difference = max(
                    self.max_probability_difference or 0.0, float(difference)
                )


def compare(
    comparison: Comparison,
    checkpoint: str,
    stand_in: bool,
    clips: Sequence[StoredClip],
    others: Sequence[StoredClip],
    budget_s: float,
    threads: int,
) -> Result:
    """Times both sides, each in a process that sleeps while the other works.

    Every timed call follows discarded ones on other clips, which bring code and weights back into the
    caches that the other side has used. The sides take turns in going first.

    Args:
        clips: What to draw from, without replacement until all were used.
        others: Further clips whose answers are compared, and not timed.
        budget_s: Time for all of it: decides how often both are timed and how many of the others are asked.

    Raises:
        BackendFailure: If a side cannot be loaded, or gives no answer.
        BackendUnavailable: If a package or weights are missing.
    """
    started = time.monotonic()
    settings = Settings(threads=threads, clip_timeout_s=CALL_TIMEOUT_S)
    own, foreign = comparison.entries(checkpoint)
    draw = shuffled_forever(clips, random.Random(0))
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    tally = Tally()
    # What a backend prepares at its very first load, such as an exported network, is in no figure.
    with BackendProcess(own, settings, offline=True) as process:
        process.open()
    load_before = _load()
    with (
        BackendProcess(own, settings, offline=True) as ours,
        BackendProcess(foreign, settings, offline=True) as plain,
    ):
        ours.open()
        plain.open()
        sides = {"ours": ours, "plain": plain}
        for number in range(MOST_ROUNDS):
            if number >= LEAST_ROUNDS and time.monotonic() - started > TIMED_SHARE * budget_s:
                break
            settling = [next(draw) for _ in range(MAX_SETTLING_CALLS)]
            batch = [next(draw) for _ in range(comparison.batch_size)]
            answers: dict[str, Reply] = {}
            for name in sorted(sides, reverse=bool(number % 2)):
                _settle(sides[name], settling)
                answers[name] = sides[name].predict(*batch)
                times[name].append(answers[name]["t_ns"]["e2e"] / 1e6)
            tally.count(batch, answers["ours"], answers["plain"])
        for clip in others:
            if time.monotonic() - started > budget_s:
                break
            tally.count([clip], ours.predict(clip), plain.predict(clip))
        memory = [side.memory()["peak_rss_bytes"] for side in (ours, plain)]
    figures: dict[str, Any] = vars(tally) | ({"ours_right": None, "plain_right": None} if stand_in else {})
    return Result(
        comparison=comparison,
        checkpoint=checkpoint_name(checkpoint),
        stand_in=stand_in,
        ours_ms=tuple(times["ours"]),
        plain_ms=tuple(times["plain"]),
        ours_peak_rss_bytes=memory[0],
        plain_peak_rss_bytes=memory[1],
        load_average=(load_before, _load()),
        **figures,
    )


def checkpoint_name(checkpoint: str) -> str:
    """What was loaded, without the folders of the machine."""
    path = portable_path(checkpoint)
    return Path(path).name if Path(path).is_absolute() else path


def _settle(side: BackendProcess, clips: Sequence[StoredClip]) -> None:
    spent_ms = 0.0
    for clip in clips:
        spent_ms += side.predict(clip)["t_ns"]["e2e"] / 1e6
        if spent_ms >= SETTLING_MS:
            break


def fit_length(waveform: np.ndarray, seconds: float) -> np.ndarray:
    """A waveform of exactly that length: cut, or repeated."""
    return np.resize(waveform, round(seconds * SAMPLING_RATE)).astype(np.float32)


def _load() -> float | None:
    load = load_average()
    return load[0] if load else None
