from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.augmentation import AugmentationSettings, augment, clip_generator
from inference.audio import SAMPLING_RATE

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / SAMPLING_RATE)).astype(np.float32)


#: Nothing changes but what a test asks for.
UNCHANGED = AugmentationSettings(
    speed=(1, 1),
    formants=(1, 1),
    equaliser_db=0,
    gain_db=(0, 0),
    pad_ms=(0, 0),
    reverberation_probability=0,
    noise_probability=0,
    low_pass_probability=0,
)


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


@pytest.mark.parametrize("voices", [(), (TONE[::-1], TONE[::2], TONE[::3])])
@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_background_has_the_ratio_asked_for(snr_db: float, voices: tuple[np.ndarray, ...]) -> None:
    noisy = replace(UNCHANGED, snr_db=(snr_db, snr_db), noise_probability=1, babble_share=1)
    noise = augment(TONE, noisy, clip_generator(0, 0, "clip"), voices) - TONE
    ratio = 20 * np.log10(np.sqrt(np.mean(TONE**2)) / np.sqrt(np.mean(noise**2)))
    assert ratio == pytest.approx(snr_db, abs=0.3)


@given(epoch=st.integers(0, 10_000), silence_ms=st.integers(0, 2000), max_ms=st.integers(600, 1500))
def test_a_long_clip_is_cut_beside_the_word(epoch: int, silence_ms: int, max_ms: int) -> None:
    word = TONE[: 400 * 16]
    rest = np.random.default_rng(0).standard_normal(silence_ms * 16).astype(np.float32) * 1e-4
    clip = np.concatenate([rest[: rest.size // 3], word, rest[rest.size // 3 :]])
    cut = augment(clip, replace(UNCHANGED, pad_ms=(0, 300), max_ms=max_ms), clip_generator(0, epoch, "clip"))
    assert cut.size <= max_ms * 16
    assert np.sum(cut**2) == pytest.approx(np.sum(word**2), rel=0.02)
