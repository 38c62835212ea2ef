"""The hints to a speaker whom the microphone cannot hear."""

from inference.live.engine.events import Hint, Level
from inference.live.output.plain_lines import SilenceWatch
from tests.inference.live.fakes import Memory


def watch(*levels: tuple[float, float]) -> list[str]:
    """Hints for levels of (dBFS, seconds), ten events a second."""
    shown, position = Memory(), 0
    silence = SilenceWatch([shown])
    for dbfs, seconds in levels:
        for _ in range(round(10 * seconds)):
            position += 1600
            silence.show(Level(position, dbfs, -60.0))
    return [hint.text for hint in shown.of(Hint)]


def test_zeros_for_three_seconds_are_a_muted_microphone():
    assert watch((-100.0, 2.9)) == []
    (text,) = watch((-100.0, 20.0))
    assert "muted" in text


def test_hardly_any_sound_for_ten_seconds_is_a_low_level():
    assert watch((-80.0, 9.9), (-50.0, 1.0), (-80.0, 9.9)) == []
    (text,) = watch((-80.0, 30.0))
    assert "--device" in text


def test_a_second_silence_gets_a_second_hint():
    assert len(watch((-100.0, 5.0), (-40.0, 1.0), (-100.0, 5.0))) == 2
