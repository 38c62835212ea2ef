"""Interleaving, and what timed calls come to."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.backend_process import BackendProcess
from benchmarks.clip_store import StoredClip
from benchmarks.latency import balanced_orders, collect_timings, time_rounds
from benchmarks.protocol import Candidate, Settings
from benchmarks.records import Record
from tests.benchmarks.fakes import fake_spec


@pytest.mark.parametrize("num_backends", [1, 2, 3, 4, 5, 6, 7])
def test_orders_balance_places_and_neighbours(num_backends: int) -> None:
    orders = balanced_orders(num_backends)
    assert all(sorted(order) == list(range(num_backends)) for order in orders)
    places = Counter((place, backend) for order in orders for place, backend in enumerate(order))
    assert len(set(places.values())) == 1
    neighbours = Counter(pair for order in orders for pair in pairwise(order))
    assert len(neighbours) == num_backends * (num_backends - 1)
    assert len(set(neighbours.values())) <= 1


def record(backend: str, number: int, milliseconds: float, cpu_ms: float = 1.0) -> Record:
    times = {"e2e": int(milliseconds * 1e6), "cpu": int(cpu_ms * 1e6)}
    return {"backend": backend, "round": number, "duration_s": 0.5, "t_ns": times}


def test_figures_of_timed_calls() -> None:
    timings = collect_timings([record("a", 0, 10.0), record("a", 1, 30.0, cpu_ms=3.0)])["a"]
    assert timings.latencies_ms == [10.0, 30.0]
    assert timings.cpu_ms == 2.0
    # From sums, not a mean of ratios: 40 ms of processing for 1 s of audio.
    assert timings.real_time_factor == pytest.approx(0.04)


def test_ratio_is_taken_within_rounds() -> None:
    # The machine slows down tenfold in the second round: the ratio stays.
    records = [record("a", 0, 1.0), record("b", 0, 2.0), record("a", 1, 10.0), record("b", 1, 20.0)]
    timings = collect_timings([*records, record("b", 2, 500.0)])
    assert timings["b"].log_ratios(timings["a"]) == pytest.approx([math.log(2)] * 2)


def test_rounds_interleave_backends_on_the_same_clips(stored: tuple[list[StoredClip], Path]) -> None:
    clips, path = stored
    settings = Settings(rounds=12)
    records: list[Record] = []
    candidates = [Candidate(fake_spec(name), "none") for name in ("Slow", "Slower")]
    with (
        BackendProcess(candidates[0], settings, path) as slow,
        BackendProcess(candidates[1], settings, path) as slower,
    ):
        processes = {"slow": slow, "slower": slower}
        for process in processes.values():
            process.load()
        failures = time_rounds(processes, clips, rounds=12, seed=0, write=records.append)
    assert failures == {}
    assert len(records) == 24
    for number in range(12):
        pair = [entry for entry in records if entry["round"] == number]
        assert {entry["backend"] for entry in pair} == {"slow", "slower"}
        assert len({entry["clip"] for entry in pair}) == 1
    first = Counter(entry["backend"] for entry in records if entry["position"] == 0)
    assert first == {"slow": 6, "slower": 6}
    timings = collect_timings(records)
    ratios = timings["slower"].log_ratios(timings["slow"])
    assert math.exp(sorted(ratios)[6]) == pytest.approx(1.25, rel=0.03)
    assert timings["slow"].cpu_ms < 5.0
