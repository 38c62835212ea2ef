"""Comparisons of runs that differ in a known way."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from benchmarks.compare import main
from benchmarks.records.files import ANSWERS_FILE
from benchmarks.reports.report_tables import read_report
from benchmarks.reports.run_differences import compare_runs
from benchmarks.reports.uncertainty import paired_share_interval
from tests.benchmarks.made_run import BACKENDS, edited, make_run, put, read_lines, write_lines

MFCC, WHISPER = "mfcc", "whisper:decode=constrained"


def with_lines(folder: Path, backend: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Changes the clean answers of a backend under leave one speaker out."""
    lines = read_lines(folder / ANSWERS_FILE)
    kind = (backend, "loso", "clean")
    change([line for line in lines if (line["backend"], line["protocol"], line["condition"]) == kind])
    write_lines(folder / ANSWERS_FILE, lines)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> tuple[Path, Path]:
    return Path(copytree(made, tmp_path / "a")), Path(copytree(made, tmp_path / "b"))


def test_equal_runs_show_no_change(runs: tuple[Path, Path]) -> None:
    for change in compare_runs(*map(read_report, runs)):
        for protocol in change.protocols:
            assert (protocol.fixed, protocol.broken, protocol.difference) == ([], [], 0.0)
            assert not protocol.mapping_only
        assert all(before == after for before, after in change.figures.values())


def test_fixed_and_broken_clips_are_listed(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    changed: dict[str, list[str]] = {"fixed": [], "broken": []}

    def change(lines: list[dict[str, Any]]) -> None:
        wrong = [line for line in lines if line["label"] != line["reference"]]
        right = [line for line in lines if line["label"] == line["reference"]]
        for line in wrong[:3]:
            line["label"] = line["reference"]
            changed["fixed"].append(line["clip"])
        right[0]["label"] = None
        changed["broken"].append(right[0]["clip"])

    with_lines(runs[1], MFCC, change)
    change_of_mfcc = compare_runs(*map(read_report, runs))[0]
    loso = next(change for change in change_of_mfcc.protocols if change.protocol == "loso")
    assert [clip for clip, _, _ in loso.fixed] == changed["fixed"]
    assert [(clip, after) for clip, _, after in loso.broken] == [(changed["broken"][0], "none")]
    assert loso.difference == pytest.approx(2 / 300)
    assert main([*map(str, runs), "--clips", "1"]) == 0
    text = capsys.readouterr().out
    assert "fixed: 3" in text
    assert "and 2 more" in text


def test_a_change_of_the_mapping_alone_is_said_to_be_one(runs: tuple[Path, Path]) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            line["mapping"] = "older"
        next(line for line in lines if line["label"] is not None)["label"] = None

    with_lines(runs[0], WHISPER, change)
    edited(runs[0], "run.json", put("older", "mapping_version"))
    whisper = compare_runs(*map(read_report, runs))[2]
    loso = next(change for change in whisper.protocols if change.protocol == "loso")
    assert loso.mapping_only
    assert len(loso.remapped) == 1
    assert (loso.fixed, loso.broken) == ([], [])
    assert "only the mapping" in "\n".join(whisper.lines(5))


def test_a_change_of_the_model_is_not_taken_for_the_mapping(runs: tuple[Path, Path]) -> None:
    with_lines(runs[1], WHISPER, lambda lines: lines[0].update(hypothesis="thank you", label=None, score=0.1))
    assert not any(change.mapping_only for change in compare_runs(*map(read_report, runs))[2].protocols)


def test_milliseconds_only_on_equal_hardware(runs: tuple[Path, Path]) -> None:
    edited(runs[1], "run.json", put("c" * 16, "environment", "hw"))
    change = compare_runs(*map(read_report, runs))[1]
    assert "p50 ms" not in change.figures
    assert "x mfcc" in change.figures
    assert any("Other hardware" in note for note in change.notes)


def test_rows_of_other_names_are_paired(runs: tuple[Path, Path]) -> None:
    assert compare_runs(*map(read_report, runs), [("mfcc", "wav2vec2")])[0].rows == ("mfcc", "wav2vec2")


def test_other_splits_are_refused(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    for backend in BACKENDS:
        with_lines(runs[1], backend, lambda lines: lines[0].update(pcm_sha="f" * 16))
    assert main([*map(str, runs)]) == 2
    error = capsys.readouterr().err
    assert "different splits" in error
    assert "299 are the same" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--pair", "mfcc"], "expected ROW=ROW"), (["--pair", "mfcc=other"], "run B has no row other")],
)
def test_pairs_are_checked(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main([*map(str, runs), *options]) == 2
    assert message in capsys.readouterr().err


def test_paired_share_interval_covers_the_difference() -> None:
    generator = np.random.default_rng(0)
    hits, trials, clips = 0, 1000, 300
    for _ in range(trials):
        # Right with probability .9 and .93, dependent: half of the second's errors are the first's.
        draws = generator.multinomial(clips, [0.865, 0.035, 0.065, 0.035])
        low, high, _ = paired_share_interval(int(draws[1]), int(draws[2]), clips)
        hits += low <= 0.035 - 0.065 <= high
    assert hits / trials == pytest.approx(0.95, abs=0.02)
