import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune.baselines.window_batches import VariationSettings, WordBank, standardise
from inference.audio import SAMPLING_RATE
from inference.features import WindowSettings, log_mel_window, squeeze, word_log_mel

SETTINGS = WindowSettings()
#: No variation at all.
PLAIN = VariationSettings(
    speed=(1.0, 1.0),
    vocal_tract=(1.0, 1.0),
    equaliser_db=0.0,
    low_pass_probability=0.0,
    noise_probability=0.0,
    faint_below_db=(200.0, 200.0),
    margin_frames=0,
    num_masks=0,
)


def sweep(seconds: float) -> np.ndarray:
    """A tone that rises, so that every frame differs."""
    time = np.arange(int(seconds * SAMPLING_RATE)) / SAMPLING_RATE
    return (0.3 * np.sin(2 * np.pi * (300 + 900 * time) * time)).astype(np.float32)


def test_without_variation_training_sees_what_the_backend_sees() -> None:
    waveform = sweep(0.8)  # fills the window: no room to move in
    bank = WordBank([word_log_mel(waveform, SETTINGS)], SETTINGS)
    batch = bank.batch(torch.tensor([0]), PLAIN, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(batch[0, 0], log_mel_window(waveform, SETTINGS), atol=0.02)


def test_the_same_seed_gives_the_same_batch_and_rows_differ() -> None:
    bank = WordBank([word_log_mel(sweep(0.4), SETTINGS)], SETTINGS)
    rows = torch.zeros(2, dtype=torch.long)
    first, again = (bank.batch(rows, VariationSettings(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.allclose(first[0], first[1], atol=0.5)


def test_another_vocal_tract_moves_the_bands() -> None:
    waveform = (0.3 * np.sin(2 * np.pi * 800 * np.arange(8000) / SAMPLING_RATE)).astype(np.float32)
    bank = WordBank([word_log_mel(waveform, SETTINGS)], SETTINGS)
    peaks = []
    for factor in (0.85, 1.0, 1.15):
        variation = VariationSettings(**{**vars(PLAIN), "vocal_tract": (factor, factor)})
        batch = bank.batch(torch.tensor([0]), variation, torch.Generator().manual_seed(0))
        peaks.append(int(batch[0, 0].mean(dim=0).argmax()))
    assert peaks[0] > peaks[1] > peaks[2]


@given(seconds=st.floats(0.1, 4.0))
def test_a_window_has_one_size_and_is_standardised(seconds: float) -> None:
    window = log_mel_window(sweep(seconds), SETTINGS)
    assert window.shape == (SETTINGS.num_frames, SETTINGS.n_mels)
    assert window.mean() == pytest.approx(0.0, abs=1e-3)
    assert window.std() == pytest.approx(1.0, abs=1e-2)


def test_digital_silence_gives_a_finite_window() -> None:
    assert np.isfinite(log_mel_window(np.zeros(4000, np.float32), SETTINGS)).all()
    assert torch.isfinite(standardise(torch.zeros(1, 80, 40), SETTINGS)).all()


@given(num_frames=st.integers(1, 300))
def test_squeezing_keeps_the_ends(num_frames: int) -> None:
    ramp = np.linspace(0.0, 1.0, num_frames, dtype=np.float32)[:, None]
    squeezed = squeeze(ramp, 80)
    assert len(squeezed) == min(num_frames, 80)
    np.testing.assert_allclose(squeezed[[0, -1]], ramp[[0, -1]], atol=1e-6)
    assert (np.diff(squeezed[:, 0]) >= -1e-6).all()
