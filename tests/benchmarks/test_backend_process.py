"""A backend in its own process: what it answers, and every way in which it can fail."""

import time
from pathlib import Path

import pytest

from benchmarks.backend_process import BackendFailure, BackendProcess, BackendUnavailable
from benchmarks.clip_store import StoredClip
from benchmarks.footprint import measure_footprint
from benchmarks.protocol import Candidate, Settings
from tests.benchmarks.fakes import fake_spec

Stored = tuple[list[StoredClip], Path]


def start(class_name: str, stored: Stored, offline: bool = False, **settings: float) -> BackendProcess:
    return BackendProcess(Candidate(fake_spec(class_name), "none"), Settings(**settings), stored[1], offline)  # type: ignore[arg-type]


def clip_of(stored: Stored, label: str) -> StoredClip:
    return next(clip for clip in stored[0] if clip.label == label)


def test_answers_carry_the_prediction_and_its_times(stored: Stored) -> None:
    with start("Writer", stored) as process:
        loaded = process.load()
        answer = process.predict(clip_of(stored, "7"))
        peak = process.peak_rss_bytes()
    assert loaded["zero_shot"] is True
    assert loaded["load_seconds"] > 0
    assert (answer["label"], answer["hypothesis"]) == ("0", " Seven.")
    assert answer["elapsed_ns"] > 0
    assert peak is not None
    # Far below the parent, whose size a child's ru_maxrss would show: only the backend was imported.
    assert 10e6 < peak < 100e6


def test_standard_streams_belong_to_the_libraries(stored: Stored) -> None:
    with start("Chatty", stored) as process:
        process.load()
        assert [process.predict(clip)["label"] for clip in stored[0][:3]] == [
            clip.label for clip in stored[0][:3]
        ]


@pytest.mark.parametrize(
    ("class_name", "kind", "message"),
    [
        ("Raises", "error", "RuntimeError: shape mismatch in layer 3"),
        ("Crash", "crash", r"crashed on clip 4_ann_0 \(SIGSEGV"),
        ("NotANumber", "error", "NaN"),
        ("OtherVocabulary", "error", "'yes' is not in the vocabulary"),
    ],
)
def test_failures_say_what_happened(stored: Stored, class_name: str, kind: str, message: str) -> None:
    with start(class_name, stored) as process:
        process.load()
        with pytest.raises(BackendFailure, match=message) as failure:
            process.predict(clip_of(stored, "4"))
    assert failure.value.kind == kind


def test_a_hanging_backend_is_ended_in_time(stored: Stored) -> None:
    began = time.monotonic()
    with start("Hang", stored, clip_timeout_s=0.5) as process:
        process.load()
        with pytest.raises(BackendFailure, match=r"no answer within 0.5 s on clip 4_ann_0") as failure:
            process.predict(clip_of(stored, "4"))
    assert failure.value.kind == "timeout"
    assert time.monotonic() - began < 10


def test_missing_weights_come_with_their_fix(stored: Stored) -> None:
    with start("Missing", stored) as process, pytest.raises(BackendUnavailable, match="not here") as error:
        process.load()
    assert error.value.fix == "Fetch them: fetch weights"


def test_reasons_are_one_line(stored: Stored) -> None:
    with start("Wordy", stored) as process, pytest.raises(BackendFailure) as failure:
        process.load()
    assert str(failure.value).endswith("size mismatch: copying a | b into c")
    with start("WordyMissing", stored) as process, pytest.raises(BackendUnavailable) as missing:
        process.load()
    assert (str(missing.value), missing.value.fix) == ("no weights here.", "Fetch them: fetch weights")


def test_damaged_checkpoints_are_failures(stored: Stored) -> None:
    with start("Broken", stored) as process, pytest.raises(BackendFailure, match="make model"):
        process.load()


def test_timed_loads_stay_off_the_network(stored: Stored) -> None:
    with start("Offline", stored, offline=True) as process:
        process.load()
        assert process.predict(clip_of(stored, "5"))["label"] == "5"


def test_footprint_sees_memory_that_was_given_back(stored: Stored) -> None:
    sizes = {
        name: measure_footprint(Candidate(fake_spec(name), "none"), *stored, Settings())
        for name in ("Perfect", "Heavy")
    }
    light, heavy = sizes["Perfect"].peak_rss_bytes, sizes["Heavy"].peak_rss_bytes
    assert light is not None
    assert heavy is not None
    assert heavy - light == pytest.approx(200e6, rel=0.1)
    assert sizes["Perfect"].parameters == 7
    assert sizes["Perfect"].checkpoint_bytes == (Path(__file__).parent / "fakes.py").stat().st_size
