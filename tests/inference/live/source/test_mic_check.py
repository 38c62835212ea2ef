"""The microphone check's verdicts."""

import numpy as np
import pytest

import inference.live.__main__ as live
from inference.live.source import mic_check
from inference.live.source.mic_check import measure
from tests.inference.live.fakes import words

RNG = np.random.default_rng(0)


def speech(level: float, noise: float) -> np.ndarray:
    gate = words(0.5, 0.5, 0.5, 0.5, 1.0, amplitude=level)
    return (gate * RNG.uniform(-1, 1, gate.size) + noise * RNG.uniform(-1, 1, gate.size)).astype(np.float32)


@pytest.mark.parametrize(("waveform", "verdict"), [
    (np.zeros(48_000, np.float32), "muted or blocked"),
    (np.clip(speech(3.0, 0.001), -1, 1), "too loud"),
    (speech(0.002, 0.0001), "too quiet"),
    (speech(0.1, 0.09), "stands out"),
])  # fmt: skip
def test_a_poor_microphone_is_told_what_to_do(waveform, verdict):
    assert verdict in measure(waveform, 16_000).verdict


def test_a_good_microphone_passes_and_its_figures_are_right():
    check = measure(speech(0.3, 0.001) + np.float32(0.01), 16_000)
    assert check.verdict is None
    assert check.peak_dbfs == pytest.approx(20 * np.log10(0.31), abs=0.3)
    assert check.dc_offset == pytest.approx(0.01, abs=0.001)
    assert check.clipped_share == 0


def test_the_check_ends_with_the_verdict_and_keeps_the_recording(fake_sound, tmp_path, capsys, monkeypatch):
    fake_sound()
    monkeypatch.setattr(mic_check, "CHECK_SECONDS", 2.0)
    # The fake counts up from zero: a saw-tooth that never goes below it.
    assert live.main(["--mic-check", "--record", str(tmp_path / "check.wav")]) == 3
    output = capsys.readouterr()
    assert "peak -0.8 dBFS" in output.out
    assert "constant offset" in output.out
    # What was asked for, and what came together with its end.
    assert 44 + 2 * 32_000 <= (tmp_path / "check.wav").stat().st_size < 44 + 2 * 40_000
