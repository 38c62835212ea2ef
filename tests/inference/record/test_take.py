"""What is kept and what is refused, on samples fed in blocks of any length."""

import numpy as np
import pytest

from inference.audio import SAMPLING_RATE
from inference.live.engine.endpointing import PROFILES
from inference.live.engine.voice_activity import EnergyDetector
from inference.record import take as takes
from inference.record.take import TakeListener

RNG = np.random.default_rng(0)


def sound(*seconds: float, peak: float = 0.3, noise: float = 0.0005) -> np.ndarray:
    """A room, and bursts in it: silence and sound in turns, beginning with silence."""
    parts = [np.full(round(s * SAMPLING_RATE), peak * (index % 2)) for index, s in enumerate(seconds)]
    levels = np.concatenate(parts)
    return (np.maximum(levels, noise) * RNG.uniform(-1, 1, levels.size)).astype(np.float32)


def listen(
    waveform: np.ndarray, size: int = 512, for_silence: bool = False, rate: int = SAMPLING_RATE
) -> list[takes.Take]:
    """The takes of a stream; each prompt follows the take before it."""
    listener = TakeListener(PROFILES["isolated"], EnergyDetector())
    listener.open(rate)
    listener.ask(for_silence)
    found = []
    for first in range(0, waveform.size, size):
        _, take = listener.push(waveform[first : first + size])
        if take is not None:
            found.append(take)
            listener.ask(for_silence)
    return found


@pytest.mark.parametrize("size", [160, 512, 4000])
def test_a_word_is_kept_with_its_margins_however_it_is_fed(size: int) -> None:
    waveform = sound(0.8, 0.4, 1.0, 0.5, 1.0)
    kept = listen(waveform, size)
    assert [take.problem for take in kept] == [None, None]
    assert [take.waveform.size for take in kept] == pytest.approx([12_800, 14_400], abs=640)
    first = (0.8 - 0.2) * SAMPLING_RATE
    place = next(
        p for p in range(round(first) - 640, round(first) + 640) if waveform[p] == kept[0].waveform[0]
    )
    assert np.array_equal(waveform[place : place + kept[0].waveform.size], kept[0].waveform)


@pytest.mark.parametrize(("waveform", "problem"), [
    (sound(0.8, 0.08, 1.0), takes.PROBLEMS["too_short"]),
    (sound(0.8, 1.6, 1.0), takes.PROBLEMS["too_long"]),
    (sound(0.8, 0.4, 1.0, peak=0.004), "too quiet"),
    (sound(0.8, 0.4, 1.0, peak=0.011, noise=0.002), "stands out"),
    (np.clip(sound(0.8, 0.4, 1.0, peak=1.05), -1, 1), "too loud"),
    (np.clip(sound(0.8, 0.4, 1.0, peak=3.0), -1, 1), "too loud"),
    (sound(0.1, 0.4, 1.0), takes.TOO_EARLY),
    (sound(0.8, 0.4, 0.3, 0.4, 1.0), takes.DOUBLED),
])  # fmt: skip
def test_what_will_not_do_is_refused_with_its_reason(waveform: np.ndarray, problem: str) -> None:
    (take,) = listen(waveform)
    assert take.problem is not None
    assert problem in take.problem


def test_sound_beside_the_word_is_refused() -> None:
    # A word that fades in below the detector's threshold has its beginning outside of the margin.
    word = sound(0.4)
    word[:600] = 0.2
    assert takes.check_take(sound(0.2, 0.4, 0.2)) is None
    assert takes.check_take(np.concatenate([sound(0.0, 0.4), sound(0.2)])) == takes.TOUCHES_EDGE
    assert takes.check_take(np.concatenate([sound(0.2, 0.4)])) == takes.TOUCHES_EDGE


def test_a_prompt_in_the_middle_of_a_word_does_not_take_its_end() -> None:
    listener = TakeListener(PROFILES["isolated"], EnergyDetector())
    listener.open(SAMPLING_RATE)
    waveform = sound(0.8, 0.6, 1.0)
    listener.push(waveform[: round(1.1 * SAMPLING_RATE)])
    assert listener.has_heard
    listener.ask()
    _, take = listener.push(waveform[round(1.1 * SAMPLING_RATE) :])
    assert take == takes.Take(takes.TOO_EARLY)


def test_a_breath_after_the_word_is_no_second_word() -> None:
    assert [take.problem for take in listen(sound(0.8, 0.4, 0.3, 0.08, 1.0))] == [None]


def test_lost_audio_spoils_the_word_under_way_and_nothing_else() -> None:
    listener = TakeListener(PROFILES["isolated"], EnergyDetector())
    listener.open(SAMPLING_RATE)
    waveform = sound(0.8, 0.4, 1.0)
    assert listener.push(waveform[:8000])[1] is None
    assert listener.push(waveform[8000:16_000], missing=160)[1] is None
    assert listener.push(waveform[16_000:], missing=160)[1] == takes.Take(takes.AUDIO_LOST)


def test_the_room_is_three_seconds_in_which_nothing_is_heard() -> None:
    assert listen(sound(1.0, 0.4, 2.0), for_silence=True)[0] == takes.Take(takes.NOT_QUIET)
    (room,) = listen(sound(3.5), for_silence=True)
    assert room.problem is None
    assert room.waveform.size == 3 * SAMPLING_RATE


def test_another_sampling_rate_is_brought_to_16_khz() -> None:
    (take,) = listen(np.repeat(sound(0.8, 0.4, 1.0), 3), 1536, rate=48_000)
    assert take.problem is None
    assert take.waveform.size == pytest.approx(12_800, abs=640)
