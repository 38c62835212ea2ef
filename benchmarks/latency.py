"""Latency: interleaved rounds over loaded backends, so that all of them meet the same machine.

In a round every backend answers the same clip. Disturbance by other work falls on all of them
alike, and a ratio of two backends, taken within rounds, is several times tighter than one of
separate measurements.
"""

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.backend_process import BackendFailure, BackendProcess
from benchmarks.clip_store import StoredClip
from benchmarks.records import Record

Item = TypeVar("Item")


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


def time_rounds(
    processes: Mapping[str, BackendProcess],
    pool: Sequence[StoredClip],
    rounds: int,
    seed: int,
    write: Callable[[Record], None],
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, BackendFailure]:
    """Times all backends on the same clips, one call each per round.

    Every timed call follows a discarded one on another clip, which brings the backend's code and
    data back into the caches that its neighbours have used.

    Args:
        processes: Loaded and warm backends by name; all of them idle while one works.
        pool: Clips to draw from, without replacement until all were used.
        rounds: Number of rounds.
        seed: Seed of the order of clips and backends.
        write: Receives one record per timed call.
        progress: Wraps the iteration over rounds.

    Returns:
        The failures; a backend that fails takes no part in the rest.
    """
    schedule = random.Random(seed)
    clips = _shuffled_forever(pool, schedule)
    orders = _shuffled_forever(balanced_orders(len(processes)), schedule)
    names = list(processes)
    failures: dict[str, BackendFailure] = {}
    for number in progress(range(rounds)):
        settle_clip, timed_clip = next(clips), next(clips)
        for position, place in enumerate(next(orders)):
            name = names[place]
            if name in failures:
                continue
            try:
                processes[name].predict(settle_clip)
                answer = processes[name].predict(timed_clip)
            except BackendFailure as failure:
                failures[name] = failure
                continue
            write(
                {
                    "backend": name,
                    "round": number,
                    "position": position,
                    "clip": timed_clip.clip_id,
                    "duration_s": timed_clip.duration_s,
                    "timing": "measured",
                    "t_ns": {"e2e": answer["elapsed_ns"], "cpu": answer["cpu_ns"]},
                }
            )
    return failures


@dataclass(frozen=True)
class Timings:
    """The timed calls of one backend.

    Attributes:
        ms_by_round: Round -> milliseconds of its call.
        cpu_ms: Median processor time per call, all threads together.
        real_time_factor: Processing time over audio time, from sums; lower is better.
    """

    ms_by_round: dict[int, float]
    cpu_ms: float
    real_time_factor: float

    @property
    def latencies_ms(self) -> list[float]:
        """Milliseconds per call in the order of the rounds."""
        return list(self.ms_by_round.values())

    def log_ratios(self, reference: "Timings") -> list[float]:
        """Logarithm of this backend's time over the reference's, one per round that both have."""
        common = self.ms_by_round.keys() & reference.ms_by_round.keys()
        return [math.log(self.ms_by_round[key] / reference.ms_by_round[key]) for key in sorted(common)]


def collect_timings(records: Iterable[Record]) -> dict[str, Timings]:
    """Groups latency records by backend."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record["backend"]].append(record)
    return {name: _timings(group) for name, group in groups.items()}


def _timings(records: Sequence[Record]) -> Timings:
    elapsed_s = sum(record["t_ns"]["e2e"] for record in records) / 1e9
    return Timings(
        ms_by_round={record["round"]: record["t_ns"]["e2e"] / 1e6 for record in records},
        cpu_ms=statistics.median(record["t_ns"]["cpu"] for record in records) / 1e6,
        real_time_factor=elapsed_s / sum(record["duration_s"] for record in records),
    )


def _shuffled_forever(items: Sequence[Item], schedule: random.Random) -> Iterator[Item]:
    while True:
        yield from schedule.sample(items, len(items))
