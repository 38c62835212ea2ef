"""The table of windows: every way is asked once, and an interrupted run goes on where it stopped."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import whisper_windows
from benchmarks.against_libraries.library_calls import PlainWhisper, PlainWhisperGreedy
from inference.audio import SAMPLING_RATE
from tests.random_whisper import build_tiny_whisper


@pytest.fixture
def few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper_windows, "WINDOWS_S", (1.0, 2.0))
    monkeypatch.setattr(whisper_windows, "LEADS_S", (0.0, 0.3))
    # Random weights never come to an end by themselves.
    monkeypatch.setattr(PlainWhisper, "arguments", {**PlainWhisperGreedy.arguments, "max_new_tokens": 2})


@pytest.mark.usefixtures("few_windows")
def test_a_run_is_whole_and_a_second_one_measures_only_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    model, out, corpus = build_tiny_whisper(tmp_path / "model"), tmp_path / "out", tmp_path / "corpus"
    corpus.mkdir()
    for number in range(4):
        noise = np.random.default_rng(number).normal(0, 0.05, SAMPLING_RATE // 2)
        soundfile.write(corpus / f"{number}_nobody_0.wav", noise, SAMPLING_RATE)
    command = ["--dataset", str(corpus), "--checkpoint", str(model), "--out", str(out)]
    command += ["--clips", "3"]
    assert whisper_windows.main(command) == 0
    assert "right %, words" in (out / "summary.md").read_text()
    lines = (out / "cells.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines[1:]]
    assert len(rows) == 2 * 2 * len(whisper_windows.PREVIOUS_TEXTS) + len(whisper_windows.PLAIN_CALLS)
    assert {row["clips"] for row in rows} == {3}
    assert all(row["p50_ms"] > 0 for row in rows)
    assert (out / "windows.png").read_bytes().startswith(b"\x89PNG")

    # As if stopped before the last cell, a plain call: the scores are not asked for again.
    (out / "cells.jsonl").write_text("\n".join([*lines[:-1], ""]))
    monkeypatch.setattr(whisper_windows, "score", lambda *_: pytest.fail("measured twice"))
    assert whisper_windows.main(command) == 0
    again = [json.loads(line) for line in (out / "cells.jsonl").read_text().splitlines()[1:]]
    assert again[:-1] == rows[:-1]
    assert again[-1]["right"] == rows[-1]["right"]


@pytest.mark.usefixtures("few_windows")
def test_other_conditions_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    cell = whisper_windows.Cell(2.0, 0.3, "none", 3, 2, 50.0)
    whisper_windows.write_cells(path, "three clips", [cell])
    assert whisper_windows.read_cells(path, "three clips") == [cell]
    assert whisper_windows.read_cells(path, "four clips") == []
