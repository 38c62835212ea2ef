import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.audio import SAMPLING_RATE
from inference.features import FeatureSettings, deltas, mfcc, mfcc_statistics, num_statistics, trim_silence

NOISE = np.random.default_rng(0).standard_normal(SAMPLING_RATE).astype(np.float32)


def test_trim_finds_the_word_in_faint_noise() -> None:
    waveform = NOISE * np.float32(1e-4)
    waveform[6000:10_000] += 0.1 * NOISE[6000:10_000]
    kept = trim_silence(waveform)
    margin = 0.055 * SAMPLING_RATE  # 30 ms of margin and one frame
    assert 4000 <= kept.size <= 4000 + 2 * margin


@pytest.mark.parametrize("waveform", [np.zeros(SAMPLING_RATE, np.float32), 0.1 * NOISE, NOISE[:100]])
def test_trim_keeps_what_has_no_silence(waveform: np.ndarray) -> None:
    assert trim_silence(waveform).size >= 0.9 * waveform.size


def test_mfcc_ignores_the_level() -> None:
    loud, quiet = (mfcc(NOISE * np.float32(gain), FeatureSettings()) for gain in (0.1, 0.01))
    np.testing.assert_allclose(loud, quiet, atol=1e-2)


def test_deltas_of_a_ramp_are_its_slope() -> None:
    ramp = np.outer(np.arange(20), [1.0, -2.0]).astype(np.float32)
    np.testing.assert_allclose(deltas(ramp)[2:-2], np.tile([1.0, -2.0], (16, 1)), atol=1e-6)


@given(num_samples=st.integers(1600, 3 * SAMPLING_RATE), num_segments=st.integers(1, 12))
def test_statistics_have_a_fixed_length_and_are_finite(num_samples: int, num_segments: int) -> None:
    settings = FeatureSettings(num_segments=num_segments)
    vector = mfcc_statistics(np.resize(NOISE, num_samples) * np.float32(0.1), settings)
    assert vector.shape == (num_statistics(settings),)
    assert np.isfinite(vector).all()


def test_digital_silence_gives_finite_statistics() -> None:
    assert np.isfinite(mfcc_statistics(np.zeros(4000, np.float32), FeatureSettings())).all()
