import numpy as np
import pytest

from finetune.effects import (
    EQUALISER_HZ,
    babble,
    change_speed,
    coloured_noise,
    equalise,
    low_pass,
    reverberate,
    shift_formants,
    unit_rms,
)
from inference.audio import SAMPLING_RATE

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / SAMPLING_RATE)).astype(np.float32)
NOISE = 0.1 * np.random.default_rng(1).standard_normal(SAMPLING_RATE).astype(np.float32)


def share_above(waveform: np.ndarray, hz: float) -> float:
    power = np.abs(np.fft.rfft(waveform)) ** 2
    return float(power[np.fft.rfftfreq(waveform.size, 1 / SAMPLING_RATE) > hz].sum() / power.sum())


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
        assert share_above(noise, 60) > 0.99
    assert share_above(white, 1000) > share_above(pink, 1000) > share_above(brown, 1000)


def vowel(pitch_hz: float, formant_hz: float) -> np.ndarray:
    """A pulse train through one resonance."""
    pulses = np.zeros(SAMPLING_RATE, np.float32)
    pulses[:: round(SAMPLING_RATE / pitch_hz)] = 1.0
    time = np.arange(400) / SAMPLING_RATE
    resonance = np.exp(-300 * time) * np.sin(2 * np.pi * formant_hz * time)
    return np.convolve(pulses, resonance)[:SAMPLING_RATE].astype(np.float32)


@pytest.mark.parametrize("factor", [0.87, 1.15])
def test_formants_move_and_the_pitch_stays(factor: float) -> None:
    before, moved = vowel(100, 1500), shift_formants(vowel(100, 1500), factor)
    assert moved.shape == before.shape
    assert moved.dtype == np.float32
    power = np.abs(np.fft.rfft(moved)) ** 2  # one bin per hertz
    assert power[800:2500].argmax() + 800 == pytest.approx(1500 * factor, abs=100)  # the next harmonic
    harmonics = sum(power[shift::100].sum() for shift in (-1, 0, 1))
    assert harmonics > 0.9 * power.sum()


def test_formants_moved_by_nothing_leave_the_clip() -> None:
    np.testing.assert_allclose(shift_formants(NOISE, 1.0 + 1e-9)[512:-512], NOISE[512:-512], atol=1e-5)


def test_equaliser_has_the_gain_asked_for() -> None:
    gains_db = np.where(np.array(EQUALISER_HZ) < 1000, -12.0, 6.0)
    ratio = np.abs(np.fft.rfft(equalise(NOISE, gains_db))) / np.abs(np.fft.rfft(NOISE))
    assert 20 * np.log10(np.median(ratio[100:400])) == pytest.approx(-12, abs=1)
    assert 20 * np.log10(np.median(ratio[2000:6000])) == pytest.approx(6, abs=1)


def test_room_adds_a_fading_tail_of_the_energy_asked_for() -> None:
    click = np.zeros(SAMPLING_RATE, np.float32)
    click[100] = 1.0
    tail = reverberate(click, 300, 6.0, np.random.default_rng(0)) - click
    assert -10 * np.log10(np.sum(tail**2)) == pytest.approx(6.0, abs=0.1)
    assert np.abs(tail[:100]).max() < 1e-6
    first, last = (np.sum(tail[start : start + 800] ** 2) for start in (100, 100 + 2400))
    assert 10 * np.log10(first / last) == pytest.approx(30, abs=4)


def test_babble_is_several_voices_at_unit_level() -> None:
    mixture = babble([TONE, NOISE[:1000], TONE[:500]], 5000, np.random.default_rng(0))
    assert mixture.shape == (5000,)
    assert np.sqrt(np.mean(mixture**2)) == pytest.approx(1.0, abs=1e-3)


def test_silence_stays_silent() -> None:
    silence = np.zeros(1000, np.float32)
    assert not unit_rms(silence).any()
    assert not shift_formants(silence, 1.1).any()
