import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.augmentation import (
    AugmentationSettings,
    augment,
    change_speed,
    clip_generator,
    coloured_noise,
    low_pass,
)
from inference.audio import SAMPLING_RATE

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / SAMPLING_RATE)).astype(np.float32)


def share_above(waveform: np.ndarray, hz: float) -> float:
    power = np.abs(np.fft.rfft(waveform)) ** 2
    return float(power[np.fft.rfftfreq(waveform.size, 1 / SAMPLING_RATE) > hz].sum() / power.sum())


def test_a_clip_varies_by_epoch_and_not_by_call() -> None:
    def draw(seed: int, epoch: int) -> np.ndarray:
        return augment(TONE, AugmentationSettings(), clip_generator(seed, epoch, "7_ann_3"))

    np.testing.assert_array_equal(draw(0, 1), draw(0, 1))
    for other in (draw(0, 2), draw(1, 1)):
        assert other.size != draw(0, 1).size or (other != draw(0, 1)).any()


@settings(max_examples=50)
@given(epoch=st.integers(0, 10_000), level=st.sampled_from([0.0, 1e-4, 1.0]))
def test_results_keep_the_contract_of_a_waveform(epoch: int, level: float) -> None:
    ranges = AugmentationSettings(max_ms=800)
    result = augment(TONE * np.float32(level), ranges, clip_generator(0, epoch, "clip"))
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1.0
    assert 8000 / 1.2 <= result.size <= 800 * SAMPLING_RATE / 1000


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_has_the_ratio_asked_for(snr_db: float) -> None:
    silent = AugmentationSettings(
        speed=(1, 1),
        gain_db=(0, 0),
        pad_ms=(0, 0),
        snr_db=(snr_db, snr_db),
        noise_probability=1,
        low_pass_probability=0,
    )
    noise = augment(TONE, silent, clip_generator(0, 0, "clip")) - TONE
    ratio = 20 * np.log10(np.sqrt(np.mean(TONE**2)) / np.sqrt(np.mean(noise**2)))
    assert ratio == pytest.approx(snr_db, abs=0.3)


def test_speed_changes_duration_and_pitch() -> None:
    fast = change_speed(TONE, 1.25)
    assert fast.size == pytest.approx(TONE.size / 1.25, abs=2)
    peak_hz = np.abs(np.fft.rfft(fast)).argmax() * SAMPLING_RATE / fast.size
    assert peak_hz == pytest.approx(550, abs=5)


def test_low_pass_removes_what_lies_above() -> None:
    noise = coloured_noise(SAMPLING_RATE, 0.0, np.random.default_rng(0))
    assert share_above(noise, 3000) > 0.5
    assert share_above(low_pass(noise, 3000), 3100) < 1e-3


def test_colours_of_noise() -> None:
    white, pink, brown = (coloured_noise(SAMPLING_RATE, e, np.random.default_rng(0)) for e in (0.0, 1.0, 2.0))
    for noise in (white, pink, brown):
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, abs=1e-3)
    assert share_above(white, 1000) > share_above(pink, 1000) > share_above(brown, 1000)
