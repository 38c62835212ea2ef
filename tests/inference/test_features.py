import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.audio import SAMPLING_RATE
from inference.features import (
    FeatureSettings,
    _median_of_three,
    _tenth_percentile,
    band_statistics,
    deltas,
    log_mel,
    mfcc_statistics,
    num_statistics,
    segment_weights,
    trim_silence,
)

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


@given(st.lists(st.floats(-90.0, 0.0, width=32), min_size=2, max_size=60))
def test_short_order_statistics_are_those_of_numpy(levels_db: list[float]) -> None:
    values = np.array(levels_db, np.float32)
    assert _tenth_percentile(values) == pytest.approx(np.percentile(values, 10), abs=1e-4)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, mode="edge"), 3)
    np.testing.assert_array_equal(_median_of_three(values), np.median(windows, axis=1))


def test_log_mel_is_kaldis() -> None:
    knf = pytest.importorskip("kaldi_native_fbank")
    settings = FeatureSettings(floor_db=1000.0)
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = SAMPLING_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = settings.n_mels
    options.mel_opts.low_freq = settings.low_hz
    options.mel_opts.high_freq = settings.high_hz
    for num_samples in (100, 250, 1600, 7001, 16_000):
        extractor = knf.OnlineFbank(options)
        extractor.accept_waveform(SAMPLING_RATE, NOISE[:num_samples])
        extractor.input_finished()
        reference = np.stack([extractor.get_frame(index) for index in range(extractor.num_frames_ready)])
        np.testing.assert_allclose(log_mel(NOISE[:num_samples], settings), reference, atol=1e-3)


def test_statistics_are_those_of_level_mfccs_and_slopes() -> None:
    from scipy.fft import dct

    settings = FeatureSettings()
    bands = log_mel(NOISE, settings)
    level = bands.mean(axis=1, keepdims=True)
    static = np.hstack([level - level.max(), dct(bands, norm="ortho")[:, 1 : settings.n_mfcc + 1]])
    frames = np.hstack([static, deltas(static)])
    parts = [frames.mean(axis=0), frames.std(axis=0), frames.min(axis=0), frames.max(axis=0)]
    expected = np.concatenate(parts)
    np.testing.assert_allclose(band_statistics(bands, settings)[: expected.size], expected, atol=1e-3)


def test_nothing_lies_deeper_than_the_floor() -> None:
    speech_then_nothing = np.concatenate([NOISE, np.zeros(SAMPLING_RATE, np.float32)])
    bands = log_mel(speech_then_nothing, FeatureSettings(floor_db=30.0))
    assert bands.max() - bands.min() == pytest.approx(30.0 * np.log(10.0) / 10.0, abs=1e-4)


def test_deltas_of_a_ramp_are_its_slope() -> None:
    ramp = np.outer(np.arange(20), [1.0, -2.0]).astype(np.float32)
    np.testing.assert_allclose(deltas(ramp)[2:-2], np.tile([1.0, -2.0], (16, 1)), atol=1e-6)


@given(num_samples=st.integers(1600, 3 * SAMPLING_RATE), num_segments=st.integers(1, 12))
def test_statistics_have_a_fixed_length_and_are_finite(num_samples: int, num_segments: int) -> None:
    settings = FeatureSettings(num_segments=num_segments)
    vector = mfcc_statistics(np.resize(NOISE, num_samples) * np.float32(0.1), settings)
    assert vector.shape == (num_statistics(settings),)
    assert np.isfinite(vector).all()


@given(num_frames=st.integers(1, 300), num_segments=st.integers(1, 12))
def test_segments_follow_each_other_and_leave_no_frame_out(num_frames: int, num_segments: int) -> None:
    weights = segment_weights(num_frames, num_segments)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    assert (weights.sum(axis=0) > 0).all()
    centres = weights @ np.arange(num_frames)
    assert (np.diff(centres) >= -1e-4).all()


def test_statistics_do_not_know_how_loud_a_recording_is() -> None:
    loud, quiet = (mfcc_statistics(NOISE * np.float32(gain), FeatureSettings()) for gain in (0.1, 0.01))
    np.testing.assert_allclose(loud, quiet, atol=1e-3)


def test_digital_silence_gives_finite_statistics() -> None:
    assert np.isfinite(mfcc_statistics(np.zeros(4000, np.float32), FeatureSettings())).all()
