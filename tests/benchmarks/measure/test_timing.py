"""Interleaving, and what timed calls come to."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.measure.contention import is_contended
from benchmarks.measure.timing import (
    MAX_WARM_CALLS,
    WARM_CALLS,
    balanced_orders,
    resident_groups,
    stages_agree,
    time_cold,
    time_rounds,
    warm_up,
)
from benchmarks.records.checked import to_json
from benchmarks.records.files import COLD_FILE, read_records
from benchmarks.records.measurements import ColdStart, Contention, TimedCall
from benchmarks.records.run_record import Settings
from benchmarks.reports.resources import latency_row, ratio_row, timing_frame
from benchmarks.run.status import EntryStatus
from benchmarks.worker.client import BackendProcess
from benchmarks.worker.waveform_file import StoredClip
from tests.benchmarks.fakes import entry_of


@pytest.mark.parametrize("num_backends", [1, 2, 3, 4, 5, 6, 7])
def test_orders_balance_places_and_neighbours(num_backends: int) -> None:
    orders = balanced_orders(num_backends)
    assert all(sorted(order) == list(range(num_backends)) for order in orders)
    places = Counter((place, backend) for order in orders for place, backend in enumerate(order))
    assert len(set(places.values())) == 1
    neighbours = Counter(pair for order in orders for pair in pairwise(order))
    assert len(neighbours) == num_backends * (num_backends - 1)
    assert len(set(neighbours.values())) <= 1


def record(backend: str, number: int, milliseconds: float, cpu_ms: float = 1.0) -> TimedCall:
    return TimedCall(
        backend=backend,
        round=number,
        position=0,
        clip="clip",
        duration_s=0.5,
        threads=1,
        t_ns={"e2e": int(milliseconds * 1e6), "cpu": int(cpu_ms * 1e6)},
        stages_agree=None,
        contention=Contention(),
        contended=False,
    )


def test_figures_of_timed_calls() -> None:
    entry = latency_row(timing_frame([record("a", 0, 10.0), record("a", 1, 30.0, cpu_ms=3.0)]))
    assert (entry["calls"], entry["min_ms"], entry["cpu_ms"]) == (2, 10.0, 2.0)
    # From sums, not a mean of ratios: 40 ms of processing for 1 s of audio.
    assert entry["real_time_factor"] == pytest.approx(0.04)
    assert "p50_ms" not in entry


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
    records: list[TimedCall] = []
    with ExitStack() as stack:
        loaded = [
            (EntryStatus(entry_of(name)), stack.enter_context(BackendProcess(entry_of(name), settings)))
            for name in ("Perfect", "Constant")
        ]
        for _, process in loaded:
            process.open()
        time_rounds(loaded, stored, range(12), settings, records.append)
    assert len(records) == 24
    for number in range(12):
        pair = [call for call in records if call.round == number]
        assert {call.backend for call in pair} == {"perfect", "constant"}
        assert len({call.clip for call in pair}) == 1
        # Written as they were made, one after the other.
        assert [call.position for call in pair] == [0, 1]
    first = Counter(call.backend for call in records if call.position == 0)
    assert first == {"perfect": 6, "constant": 6}
    assert all(call.contention.wall_us and call.t_ns["e2e"] > 0 for call in records)


def test_stages_must_make_up_the_whole(stored: list[StoredClip]) -> None:
    with BackendProcess(entry_of("Staged"), Settings()) as process:
        process.open()
        t_ns = process.predict(stored[0])["t_ns"]
    assert t_ns.keys() == {"e2e", "cpu", "features", "model"}
    whole = {"e2e": 5_000_000, "cpu": 1, "features": 2_000_000, "model": 3_000_000}
    assert stages_agree(whole)
    assert stages_agree(whole | {"model": 2_901_000})  # within 2 %
    assert not stages_agree(whole | {"model": 0})
    assert stages_agree({"e2e": 60_000, "cpu": 1, "model": 11_000})  # within 50 microseconds
    assert stages_agree({"e2e": 5, "cpu": 5}) is None


class ScriptedProcess:
    """A backend whose calls take the milliseconds of a script, the last one for ever."""

    def __init__(self, *milliseconds: float):
        self._milliseconds = list(milliseconds)

    def predict(self, clip: StoredClip) -> dict[str, Any]:
        value = self._milliseconds.pop(0) if len(self._milliseconds) > 1 else self._milliseconds[0]
        return {"t_ns": {"e2e": round(value * 1e6)}}


@pytest.mark.parametrize(
    ("milliseconds", "calls"),
    [
        ([1.0], WARM_CALLS),
        ([*(20.0 - number for number in range(12)), 5.0], 20),
        ([float(2**number) for number in range(MAX_WARM_CALLS)], MAX_WARM_CALLS),
    ],
)
def test_warming_up_ends_when_the_time_has_settled(
    stored: list[StoredClip], milliseconds: list[float], calls: int
) -> None:
    process = cast(BackendProcess, ScriptedProcess(*milliseconds))
    assert warm_up(process, stored) == calls


def test_cold_starts_have_their_steps(stored: list[StoredClip], tmp_path: Path) -> None:
    statuses = [EntryStatus(entry_of(name)) for name in ("Perfect", "Missing")]
    time_cold(statuses, stored, Settings(cold_starts=2), tmp_path)
    records = list(read_records(tmp_path / COLD_FILE, ColdStart))
    assert [start.repeat for start in records] == [0, 1]
    assert [status.is_running for status in statuses] == [True, False]
    seconds = to_json(records[0].seconds)
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) == pytest.approx(2 * seconds["total"])


def test_entries_are_timed_in_pairs_where_memory_is_short() -> None:
    statuses = [EntryStatus(entry_of(name)) for name in ("Perfect", "Writer", "Constant")]
    rss = {status.name: 100 for status in statuses}
    assert [len(group) for group in resident_groups(statuses, rss, free_bytes=1000)] == [3]
    pairs = resident_groups(statuses, rss, free_bytes=400)
    assert [[status.name for status in pair] for pair in pairs] == [
        ["perfect", "writer"],
        ["perfect", "constant"],
    ]


def test_what_others_took_is_noticed() -> None:
    quiet = Contention(psi_us=100, steal_ms=0, wall_us=1000)
    assert not is_contended(quiet)
    assert is_contended(replace(quiet, psi_us=300))
    assert is_contended(replace(quiet, steal_ms=10))
    assert not is_contended(Contention(wall_us=1000))
