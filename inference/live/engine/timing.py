"""Where the time goes between the end of a word and its printed label."""

import array
import collections
import itertools
from collections.abc import Sequence

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.live.engine.events import Utterance

#: In the order in which they happen; they sum to ``total``.
STAGES = ("detector_lag", "hangover", "capture", "queue", "wait", "infer", "print")
#: The part that comes once the end of a word is certain; some report only this as their latency.
AFTER_DECISION = ("wait", "infer", "print")


class SampleClock:
    """Maps sample positions to the time they were at the microphone.

    Callbacks come late, never early, so the earliest one of the last seconds is believed, less the
    smallest lag that the device reported in that time (idle sound servers report far too much).

    Args:
        sampling_rate: In Hz.
    """

    _window_seconds = 5.0

    def __init__(self, sampling_rate: int):
        self._sampling_rate = sampling_rate
        self._offset = _SlidingMinimum(self._window_seconds)
        self._lag = _SlidingMinimum(self._window_seconds)

    def observe(self, position: int, called_at: float, lag: float) -> None:
        """Takes a callback: the sample at ``position`` was at the microphone ``lag`` seconds before it."""
        self._offset.add(called_at, called_at - position / self._sampling_rate)
        self._lag.add(called_at, lag)

    def time_of(self, position: int) -> float:
        """When a sample was at the microphone, on the clock of the callbacks."""
        return self._offset.value + position / self._sampling_rate - self._lag.value


class _SlidingMinimum:
    """The least of the values added during the last ``window`` seconds."""

    def __init__(self, window: float):
        self._window = window
        # Values rise from left to right: one that a later value undercuts can never be the least.
        self._candidates: collections.deque[tuple[float, float]] = collections.deque()

    def add(self, time: float, value: float) -> None:
        while self._candidates and self._candidates[-1][1] >= value:
            self._candidates.pop()
        self._candidates.append((time, value))
        while time - self._candidates[0][0] > self._window:
            self._candidates.popleft()

    @property
    def value(self) -> float:
        return self._candidates[0][1]


def latency_ms(utterance: Utterance, moments: Sequence[float]) -> dict[str, float]:
    """Splits the time from the end of speech to the printed line into stages.

    Args:
        utterance: What was answered.
        moments: On one clock in seconds: the sample that decided the utterance at the microphone,
            its block delivered by the sound system, received by the loop, recognition started and
            ended, line printed.

    Returns:
        Milliseconds per stage, and their sum as ``total``. The end of speech is an estimate: the
        last frame that surely was speech.
    """
    per_ms = SAMPLING_RATE / 1000
    durations = [
        (utterance.end - utterance.last_speech) / per_ms,
        (utterance.decided - utterance.end) / per_ms,
        *(1000 * (later - earlier) for earlier, later in itertools.pairwise(moments)),
    ]
    return dict(zip(STAGES, durations, strict=True)) | {"total": sum(durations)}


class LatencyLog:
    """The latencies of a session, kept small enough for days."""

    def __init__(self) -> None:
        self._values = {stage: array.array("d") for stage in (*STAGES, "total", "after_decision")}

    def add(self, latency_ms: dict[str, float]) -> None:
        """Takes what ``latency_ms`` returned for one answer."""
        after_decision = sum(latency_ms[stage] for stage in AFTER_DECISION)
        for stage, value in (latency_ms | {"after_decision": after_decision}).items():
            self._values[stage].append(value)

    def summary(self) -> dict[str, dict[str, float]]:
        """Per stage ``n``, ``p50``, ``p95``, ``p99`` and ``max``; empty if nothing was added."""
        return {stage: percentiles(values) for stage, values in self._values.items() if values}


def percentiles(values_ms: Sequence[float]) -> dict[str, float]:
    """``n``, ``p50``, ``p95``, ``p99`` and ``max`` of durations in milliseconds, at least one."""
    p50, p95, p99 = (float(value) for value in np.percentile(values_ms, [50, 95, 99]))
    return {"n": len(values_ms), "p50": p50, "p95": p95, "p99": p99, "max": float(max(values_ms))}
