"""Interleaving, and what timed calls come to."""

import statistics
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise

import pytest

from benchmarks.measure.cold import time_cold_starts
from benchmarks.measure.contention import is_contended
from benchmarks.measure.latency import balanced_orders, stages_agree, time_rounds, warm_up
from benchmarks.measure.timing import resident_groups
from benchmarks.reports.speed import latency_row, ratio_row, timing_frame
from benchmarks.run.records import Record
from benchmarks.run.settings import Settings
from benchmarks.run.status import Outcome
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip
from tests.benchmarks.fakes import row_of


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
    call = {"backend": backend, "round": number, "duration_s": 0.5, "t_ns": times}
    return call | {"threads": 1, "batch": 1, "contended": False, "stages_agree": None}


def test_figures_of_timed_calls() -> None:
    row = latency_row(timing_frame([record("a", 0, 10.0), record("a", 1, 30.0, cpu_ms=3.0)]))
    assert (row["calls"], row["min_ms"], row["cpu_ms"]) == (2, 10.0, 2.0)
    # From sums, not a mean of ratios: 40 ms of processing for 1 s of audio.
    assert row["real_time_factor"] == pytest.approx(0.04)
    assert "p50_ms" not in row


def test_ratio_is_taken_within_rounds() -> None:
    # The machine slows down tenfold every second round: the ratio stays.
    records = []
    for number in range(8):
        slowness = 10.0 ** (number % 2)
        records += [record("a", number, slowness), record("b", number, 2 * slowness)]
    timings = timing_frame([*records, record("b", 8, 500.0)])
    first, second = (timings[timings["backend"] == name] for name in "ab")
    assert ratio_row(second, first) == pytest.approx({"ratio": 2.0, "ratio_low": 2.0, "ratio_high": 2.0})


def test_rounds_interleave_backends_on_the_same_clips(stored: list[StoredClip]) -> None:
    settings = Settings(rounds=12)
    records: list[Record] = []
    with ExitStack() as stack:
        processes = {
            name.lower(): stack.enter_context(BackendProcess(row_of(name), settings))
            for name in ("Slow", "Slower")
        }
        for process in processes.values():
            process.open()
        # One core is taken, as on a machine that others use: the ratio must not care.
        busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        stack.callback(busy.kill)
        failures = time_rounds(processes, stored, range(12), seed=0, write=records.append)
    assert failures == {}
    assert len(records) == 24
    for number in range(12):
        pair = [entry for entry in records if entry["round"] == number]
        assert {entry["backend"] for entry in pair} == {"slow", "slower"}
        assert len({entry["clip"] for entry in pair}) == 1
    first = Counter(entry["backend"] for entry in records if entry["position"] == 0)
    assert first == {"slow": 6, "slower": 6}
    timings = timing_frame(records)
    slow, slower = (timings[timings["backend"] == name] for name in ("slow", "slower"))
    assert ratio_row(slower, slow)["ratio"] == pytest.approx(1.25, rel=0.03)
    assert latency_row(slow)["cpu_ms"] < 5.0
    assert set(records[0]["contention"]) == {"psi_us", "steal_ms", "wall_us", "involuntary_switches"}


def test_the_harness_adds_next_to_nothing(stored: list[StoredClip]) -> None:
    with BackendProcess(row_of("Constant"), Settings()) as process:
        process.open()
        times = sorted(process.predict(clip)["t_ns"]["e2e"] for clip in stored)
    assert times[len(times) // 2] <= 50_000


def test_stages_must_make_up_the_whole(stored: list[StoredClip]) -> None:
    with BackendProcess(row_of("Staged"), Settings()) as process:
        process.open()
        calls = [process.predict(clip)["t_ns"] for clip in stored]
    assert all(t_ns.keys() == {"e2e", "cpu", "features", "model"} for t_ns in calls)
    # Other work can come between two stages, but hardly in most calls.
    assert statistics.median(stages_agree(t_ns) for t_ns in calls) == 1
    assert not any(stages_agree(t_ns | {"model": 0}) for t_ns in calls)
    assert stages_agree({"e2e": 5, "cpu": 5}) is None


def test_a_batch_is_one_call(stored: list[StoredClip]) -> None:
    records: list[Record] = []
    with BackendProcess(row_of("Slow"), Settings()) as process:
        process.open()
        time_rounds({"slow": process}, stored, range(2), 0, records.append, batch=3)
    assert [record["batch"] for record in records] == [3, 3]
    assert records[0]["t_ns"]["e2e"] > 3 * 20e6
    assert records[0]["duration_s"] > 2 * stored[0].duration_s


def test_warming_up_ends_when_the_time_has_settled(stored: list[StoredClip]) -> None:
    with BackendProcess(row_of("Slow"), Settings()) as process:
        process.open()
        assert 10 <= warm_up(process, stored) < 60


def test_cold_starts_have_their_steps(stored: list[StoredClip]) -> None:
    records: list[Record] = []
    rows = [row_of("Slow"), row_of("Missing")]
    failures = time_cold_starts(rows, stored[0], Settings(cold_starts=2), records.append)
    assert [record["repeat"] for record in records] == [0, 1]
    assert failures.keys() == {"missing"}
    seconds = records[0]["seconds"]
    assert seconds["first_prediction"] > 0.02
    assert sum(seconds.values()) == pytest.approx(2 * seconds["total"])


def test_rows_are_timed_in_pairs_where_memory_is_short() -> None:
    outcomes = [Outcome(row_of(name)) for name in ("Slow", "Slower", "Constant")]
    rss = {outcome.name: 100 for outcome in outcomes}
    assert [len(group) for group in resident_groups(outcomes, rss, free_bytes=1000)] == [3]
    pairs = resident_groups(outcomes, rss, free_bytes=400)
    assert [[outcome.name for outcome in pair] for pair in pairs] == [
        ["slow", "slower"],
        ["slow", "constant"],
    ]


def test_what_others_took_is_noticed() -> None:
    quiet = {"psi_us": 100, "steal_ms": 0, "wall_us": 1000}
    assert not is_contended(quiet)
    assert is_contended(quiet | {"psi_us": 300})
    assert is_contended(quiet | {"steal_ms": 10})
    assert not is_contended({"psi_us": None, "steal_ms": None, "wall_us": 1000})
