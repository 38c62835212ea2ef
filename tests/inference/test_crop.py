import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.audio import SAMPLING_RATE
from inference.crop import CropContract, crop, prepare

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


def test_only_what_is_too_short_is_padded() -> None:
    assert prepare(RAMP, CropContract()) is RAMP
    np.testing.assert_array_equal(prepare(RAMP[:800], CropContract(min_ms=100)), np.pad(RAMP[:800], (0, 800)))


def test_an_impossible_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        CropContract(pre_ms=-1)


def test_files_of_older_versions_are_read() -> None:
    older = {"pre_ms": 100, "normalise": "none", "sampling_rate": SAMPLING_RATE}
    assert CropContract.from_dict(older) == CropContract(pre_ms=100)
    assert "normalise" in older


@pytest.mark.parametrize("field", [{"normalise": "rms"}, {"sampling_rate": 8000}, {"sampling_rate": None}])
def test_what_only_older_versions_could_do_is_refused(field: dict) -> None:
    ((name, value),) = field.items()
    with pytest.raises(ValueError, match=f"{name} is {value!r}, and only .* is allowed"):
        CropContract.from_dict(field)
