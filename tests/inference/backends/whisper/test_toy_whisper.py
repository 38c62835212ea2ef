"""The trainer of the toy Whisper: its short window equals the real one, and it never sees test clips."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.against_libraries.random_whisper import NUM_POSITIONS, make_tokenizer
from inference.audio import SAMPLING_RATE
from inference.backends.table import load_backend
from tests import toy_whisper

CLIP = (0.1 * np.sin(np.arange(SAMPLING_RATE // 2) * 0.2)).astype(np.float32)


def write_clip(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes((CLIP * 32767).astype("<i2").tobytes())


def test_short_window_with_tied_padding_equals_the_full_window():
    """The whole point of the trick; without the bias on the last key the two differ by far."""
    rng = np.random.default_rng(0)
    tokenizer = make_tokenizer()
    features, targets = toy_whisper.make_examples([("3", CLIP)], tokenizer, rng)
    short = toy_whisper.train(tokenizer, features, targets, 2, rng)
    full = toy_whisper.stretch(short, tokenizer).eval()
    window = features[:2].float()
    padded = torch.nn.functional.pad(window, (0, 2 * NUM_POSITIONS - window.shape[2]))
    prompt = torch.tensor([[300, 301, 302]] * 2)
    with torch.no_grad():
        expected = full(input_features=padded, decoder_input_ids=prompt).logits
        actual = short(input_features=window, decoder_input_ids=prompt).logits
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.01


def test_test_recordings_are_not_read(tmp_path):
    for index in (0, 4, 5, 12):
        write_clip(tmp_path / f"7_speaker_{index}.wav")
    assert [label for label, _ in toy_whisper.read_training_clips(tmp_path)] == ["7", "7"]


def test_command_writes_a_marked_folder_that_the_backend_loads(tmp_path):
    write_clip(tmp_path / "7_speaker_5.wav")
    out = tmp_path / "toy"
    assert toy_whisper.main([str(out), "--dataset-dir", str(tmp_path), "--steps", "2"]) == 0
    assert "not a zero-shot model" in json.loads((out / "fixture.json").read_text())["fixture"]
    assert len(load_backend("whisper", str(out)).predict([CLIP])) == 1


def test_folder_without_training_clips_is_refused(tmp_path, capsys):
    write_clip(tmp_path / "7_speaker_0.wav")
    assert toy_whisper.main([str(tmp_path / "toy"), "--dataset-dir", str(tmp_path)]) == 2
    assert "no training clips" in capsys.readouterr().err
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize("seed", range(3))
def test_augmented_clips_stay_in_range(seed):
    augmented = toy_whisper.augment(CLIP, np.random.default_rng(seed))
    assert augmented.dtype == np.float32
    assert np.abs(augmented).max() <= 1.0
    assert not np.array_equal(augmented[: CLIP.size], CLIP)
