"""The whole path on a labelled stream of synthetic or real digits."""

import csv
import os
import wave
from pathlib import Path

import numpy as np
import pytest

import inference.live.__main__ as live
from inference import recognise
from inference.audio import SAMPLING_RATE, decode_audio, rms_dbfs
from inference.backends.table import BACKENDS
from inference.live.source.recording import to_int16
from tests.inference.live.fakes import ConstantBackend
from tests.inference.live.speech import noise, spoken

SEED = 0


def write_stream(clips: list[tuple[int, np.ndarray]], folder: Path, snr_db: float) -> list[str]:
    """A labelled stream of clips with gaps of 0.25 to 2 s in noise; returns the options to replay it."""
    rng = np.random.default_rng(SEED)
    parts, rows, position = [], [], 0
    for digit, clip in clips:
        gap = np.zeros(round(rng.uniform(0.25, 2.0) * SAMPLING_RATE), np.float32)
        position += gap.size
        levelled = clip * np.float32(10 ** ((-23.0 - rms_dbfs(clip)) / 20))
        rows.append((position / SAMPLING_RATE, (position + clip.size) / SAMPLING_RATE, digit))
        parts += [gap, levelled]
        position += clip.size
    waveform = np.concatenate([*parts, np.zeros(SAMPLING_RATE, np.float32)])
    waveform += noise(waveform.size, -23.0 - snr_db)
    with wave.open(str(folder / "stream.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLING_RATE, 0, "NONE", ""))
        file.writeframes(to_int16(waveform))
    with open(folder / "stream.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("start_s", "end_s", "digit"), *rows])
    return ["--replay", str(folder / "stream.wav"), "--labels", str(folder / "stream.csv")]


@pytest.mark.parametrize("detector", ["silero", "energy"])
def test_every_spoken_word_of_a_synthetic_stream_is_found_once(monkeypatch, tmp_path, capsys, detector):
    monkeypatch.setattr(live, "load_backend", lambda *arguments: ConstantBackend("7"))
    clips = [
        (digit, spoken(word, tmp_path)) for digit, word in enumerate(("zero", "one", "two", "three", "four"))
    ]
    options = write_stream(clips * 4, tmp_path, snr_db=30)
    assert live.main([*options, "--detector", detector]) == 0
    report = capsys.readouterr().err.splitlines()[-1]
    assert report == (
        "20 labelled digits: 0 hits, 20 wrong, 0 rejected, 0 merged, 0 missed; 0 false digits, 0 duplicates"
    )


@pytest.mark.skipif("SPOKEN_DIGITS_DATA" not in os.environ, reason="SPOKEN_DIGITS_DATA is not set")
@pytest.mark.skipif(
    not Path(BACKENDS["mfcc"].default_checkpoint).is_dir(),
    reason="the mfcc checkpoint is not there",
)
def test_real_digits_in_a_stream_are_recognised_as_well_as_clips(tmp_path, capsys):
    paths = sorted(Path(os.environ["SPOKEN_DIGITS_DATA"]).glob("[0-9]_*_[0-4].wav"))
    assert paths, "no test clips {digit}_{speaker}_{0-4}.wav in SPOKEN_DIGITS_DATA"
    np.random.default_rng(SEED).shuffle(paths)
    clips = [(int(path.name[0]), decode_audio(path)) for path in paths[:100]]
    right = np.mean([recognise(waveform, SAMPLING_RATE).label == str(digit) for digit, waveform in clips])
    assert right >= 0.93
    options = write_stream(clips, tmp_path, snr_db=20)
    assert live.main([*options, "--require", f"{right - 0.03:.2f}"]) == 0, capsys.readouterr().err
    assert "0 merged, 0 missed; 0 false digits, 0 duplicates" in capsys.readouterr().err
