"""The detectors on sounds whose answer is known."""

import numpy as np
import pytest

from inference.audio import SAMPLING_RATE, decode_audio, rms_dbfs
from inference.errors import UserError
from inference.live.engine import voice_activity
from inference.live.engine.voice_activity import EnergyDetector, NoiseFloor, SileroDetector, build_detector
from tests.inference.live.speech import noise, spoken


def scores(detector, waveform: np.ndarray) -> np.ndarray:
    size = detector.frame_samples
    return np.array(
        [detector.score(waveform[i : i + size]) for i in range(0, waveform.size - size + 1, size)]
    )


@pytest.mark.parametrize("detector", [SileroDetector, EnergyDetector])
def test_speech_scores_high_and_noise_low(detector, tmp_path):
    speech = spoken("seven", tmp_path)
    waveform = np.concatenate([noise(16_000, -60), speech + noise(speech.size, -60), noise(16_000, -60)])
    found = scores(detector(), waveform)
    step = detector.frame_samples
    before, middle = found[: 15_000 // step], found[17_000 // step : (16_000 + speech.size) // step]
    assert (before < 0.35).all()
    assert np.mean(middle >= 0.4) > 0.4
    assert found[-1] < 0.35


@pytest.mark.parametrize("detector", [SileroDetector, EnergyDetector])
def test_a_reset_detector_gives_the_same_scores_again(detector, tmp_path):
    waveform = spoken("three", tmp_path)
    detector = detector()
    first = scores(detector, waveform)
    detector.reset()
    assert np.array_equal(scores(detector, waveform), first)


def test_silero_agrees_with_the_package_that_ships_it(tmp_path):
    waveform = spoken("eight", tmp_path)
    waveform = waveform[: waveform.size // 512 * 512]
    from faster_whisper.vad import get_vad_model

    # Ours begins with a moment of silence.
    silence = np.zeros(512 * SileroDetector._silent_frames, np.float32)
    expected = np.asarray(get_vad_model()(np.concatenate([silence, waveform]))).reshape(-1)
    expected = expected[SileroDetector._silent_frames :]
    assert np.allclose(scores(SileroDetector(), waveform), expected, atol=1e-5)


@pytest.mark.parametrize("level_dbfs", [-100, -80, -60])
def test_a_word_after_long_silence_scores_as_one_after_a_moment(level_dbfs, recordings):
    """As the network is given, one minute of quiet halves its scores, and the word is missed."""
    word = decode_audio(recordings / "3_jackson_0.wav")
    at_once, after_a_minute = (
        np.concatenate([noise(seconds * SAMPLING_RATE, level_dbfs), word + noise(word.size, level_dbfs)])
        for seconds in (1, 60)
    )
    num_frames = word.size // SileroDetector.frame_samples
    first, second = (
        scores(SileroDetector(), waveform)[-num_frames:] for waveform in (at_once, after_a_minute)
    )
    assert second.max() > 0.9 * first.max()
    assert second.mean() > 0.85 * first.mean()


def test_the_noise_floor_settles_on_the_level_of_a_room():
    floor = NoiseFloor(frame_ms=10)
    room = noise(32_000, -45)
    for first in range(0, room.size, 160):
        floor.update(rms_dbfs(room[first : first + 160]))
    assert floor.dbfs == pytest.approx(-45, abs=2)


def test_the_noise_floor_hardly_moves_during_a_word():
    floor = NoiseFloor(frame_ms=10)
    for _ in range(200):
        floor.update(-60.0)
    for _ in range(50):
        floor.update(-20.0)
    assert floor.dbfs < -56


def test_without_its_network_silero_gives_way_to_energy_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr(voice_activity, "find_silero", lambda: None)
    assert build_detector().name == "energy"
    with pytest.raises(UserError, match="pip install faster-whisper"):
        build_detector("silero")
