"""A backend in its own process: what it answers, and every way in which it can fail."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure.footprint import measure_footprint
from benchmarks.records.run_record import Settings
from benchmarks.worker.client import BackendFailure, BackendProcess, BackendUnavailable
from benchmarks.worker.disk_size import checkpoint_files
from benchmarks.worker.waveform_file import StoredClip
from tests.benchmarks.fakes import entry_of

FAKES = Path(__file__).parents[1] / "fakes.py"

Stored = list[StoredClip]


def start(class_name: str, stored: Stored, offline: bool = False, **settings: float) -> BackendProcess:
    return BackendProcess(entry_of(class_name), Settings(**settings), offline=offline)  # type: ignore[arg-type]


def label_of(answer: dict[str, Any]) -> str | None:
    return answer["predictions"][0]["label"]


def clip_of(stored: Stored, label: str) -> StoredClip:
    return next(clip for clip in stored if clip.label == label)


def test_answers_carry_the_prediction_and_its_times(stored: Stored) -> None:
    with start("Writer", stored) as process:
        loaded = process.open()
        answer = process.predict(clip_of(stored, "7"))
        peak = process.memory()["peak_rss_bytes"]
    assert loaded["zero_shot"] is True
    assert loaded["load_seconds"] > 0
    (prediction,) = answer["predictions"]
    assert (prediction["label"], prediction["hypothesis"]) == ("0", " Seven.")
    assert answer["t_ns"]["e2e"] > 0
    assert peak is not None
    # Far below the parent, whose size a child's ru_maxrss would show: only the backend was imported.
    assert 10e6 < peak < 100e6


def test_standard_streams_belong_to_the_libraries(stored: Stored) -> None:
    with start("Chatty", stored) as process:
        process.open()
        assert label_of(process.predict(stored[0])) == stored[0].label
        assert label_of(process.predict(stored[-1])) == stored[-1].label


@pytest.mark.parametrize(
    ("class_name", "kind", "message"),
    [
        ("Raises", "error", "RuntimeError: shape mismatch in layer 3"),
        ("Crash", "crash", r"crashed on clip 4_ann_0 \(SIGSEGV"),
        ("OutOfMemory", "oom", "MemoryError"),
        ("NotANumber", "error", "NaN"),
        ("OtherVocabulary", "error", "'yes' is not in the vocabulary"),
    ],
)
def test_failures_say_what_happened(stored: Stored, class_name: str, kind: str, message: str) -> None:
    with start(class_name, stored) as process:
        process.open()
        with pytest.raises(BackendFailure, match=message) as failure:
            process.predict(clip_of(stored, "4"))
    assert failure.value.kind == kind


def test_a_hanging_backend_is_ended(stored: Stored) -> None:
    with start("Hang", stored, clip_timeout_s=0.5) as process:
        process.open()
        with pytest.raises(BackendFailure, match=r"no answer within 0.5 s on clip 4_ann_0") as failure:
            process.predict(clip_of(stored, "4"))
    assert failure.value.kind == "timeout"


def test_missing_weights_come_with_their_fix(stored: Stored) -> None:
    with start("Missing", stored) as process, pytest.raises(BackendUnavailable, match="not here") as error:
        process.open()
    assert error.value.fix == "Fetch them: fetch weights"


def test_reasons_are_one_line(stored: Stored) -> None:
    with start("Wordy", stored) as process, pytest.raises(BackendFailure) as failure:
        process.open()
    assert str(failure.value).endswith("size mismatch: copying a | b into c")
    with start("WordyMissing", stored) as process, pytest.raises(BackendUnavailable) as missing:
        process.open()
    assert (str(missing.value), missing.value.fix) == ("no weights here.", "Fetch them: fetch weights")


def test_damaged_checkpoints_are_failures(stored: Stored) -> None:
    with start("Broken", stored) as process, pytest.raises(BackendFailure, match="make model"):
        process.open()


def test_timed_loads_stay_off_the_network(stored: Stored) -> None:
    with start("Offline", stored, offline=True) as process:
        process.open()
        assert label_of(process.predict(clip_of(stored, "5"))) == "5"


def test_footprint_sees_memory_that_was_given_back(stored: Stored) -> None:
    records = {
        name: measure_footprint(entry_of(name), stored, Settings(), num_calls=10)
        for name in ("Perfect", "Heavy")
    }
    light, heavy = records["Perfect"], records["Heavy"]
    assert heavy.peak_rss_bytes - light.peak_rss_bytes == pytest.approx(200e6, rel=0.1)
    assert light.parameters == 7
    assert light.checkpoint_bytes == light.opened_bytes == FAKES.stat().st_size
    assert list(light.opened_files) == ["fakes.py"]
    assert light.multiply_accumulates == {"0.42": 6720, "1": 16000}
    assert light.runtime_packages["numpy"] > 10e6
    assert (light.device, light.zero_shot) == ("cpu", False)
    phases = light.memory
    if phases.method == "clear_refs":
        # Each phase has a peak of its own: what the first call took is no longer in the last one.
        assert heavy.memory.first_call.peak_rss_bytes > 200e6
        assert phases.start.peak_rss_bytes < phases.imports.peak_rss_bytes


def test_weight_counts_a_file_once(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(100))
    (tmp_path / "link.bin").symlink_to(tmp_path / "model.bin")
    (tmp_path / "twin.bin").hardlink_to(tmp_path / "model.bin")
    (tmp_path / "vocabulary.json").write_bytes(bytes(10))
    (tmp_path / "optimizer.pt").write_bytes(bytes(1000))
    declared = [tmp_path / "model.bin", tmp_path / "link.bin"]
    opened = [str(tmp_path / name) for name in ("vocabulary.json", "twin.bin", "missing.bin")]
    assert checkpoint_files(declared, opened) == {"model.bin": 100, "vocabulary.json": 10}
    assert checkpoint_files([], opened) == {}
