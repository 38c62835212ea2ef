import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.audio import SAMPLING_RATE, rms_dbfs
from inference.crop import TARGET_DBFS, CropContract, crop, prepare

RAMP = np.linspace(-0.5, 0.5, SAMPLING_RATE, dtype=np.float32)


def test_keeps_audio_before_and_after_the_word() -> None:
    cut = crop(RAMP, start=8000, end=10_000, contract=CropContract(pre_ms=100, post_ms=50, min_ms=0))
    np.testing.assert_array_equal(cut, RAMP[8000 - 1600 : 10_000 + 800])


def test_never_reaches_into_the_previous_utterance() -> None:
    cut = crop(
        RAMP, start=8000, end=10_000, contract=CropContract(pre_ms=100, post_ms=0, min_ms=0), earliest=7900
    )
    np.testing.assert_array_equal(cut, RAMP[7900:10_000])


@given(
    start=st.integers(0, SAMPLING_RATE - 1),
    length=st.integers(1, SAMPLING_RATE),
    pre_ms=st.integers(0, 2000),
    post_ms=st.integers(0, 2000),
    min_ms=st.integers(0, 2000),
)
def test_length_is_bounded_and_the_word_is_inside(start, length, pre_ms, post_ms, min_ms) -> None:
    end = min(start + length, RAMP.size)
    cut = crop(RAMP, start, end, CropContract(pre_ms=pre_ms, post_ms=post_ms, min_ms=min_ms))
    assert cut.size >= max(end - start, min_ms * 16)
    assert cut.size <= max(end - start + (pre_ms + post_ms) * 16, min_ms * 16)
    assert cut.dtype == np.float32


def test_normalises_the_level_only_where_asked() -> None:
    quiet = (np.random.default_rng(0).standard_normal(SAMPLING_RATE) * 0.005).astype(np.float32)
    assert prepare(quiet, CropContract()) is quiet
    assert rms_dbfs(prepare(quiet, CropContract(normalise="rms"))) == pytest.approx(TARGET_DBFS, abs=0.1)


def test_silence_stays_silent() -> None:
    silence = np.zeros(SAMPLING_RATE, np.float32)
    np.testing.assert_array_equal(prepare(silence, CropContract(normalise="rms")), silence)


@pytest.mark.parametrize("fields", [{"pre_ms": -1}, {"normalise": "peak"}, {"sampling_rate": 8000}])
def test_impossible_contracts_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(fields.values())))):
        CropContract(**fields)
