"""The audio border: every format in, one kind of waveform out, and refusals that teach."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest

from inference import audio
from inference.audio import MAX_SECONDS, SAMPLING_RATE, check_waveform, decode_audio, resample, rms_dbfs
from inference.errors import AudioError


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *arguments], check=True)


def tone(path: Path, *options: str, seconds: float = 0.5, hz: int = 440) -> Path:
    ffmpeg(
        "-f", "lavfi", "-i", f"sine=frequency={hz}:duration={seconds}:sample_rate=8000", *options, str(path)
    )
    return path


def dominant_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(waveform.size)))
    return float(spectrum.argmax() * SAMPLING_RATE / waveform.size)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", []),
        ("flac", []),
        ("mp3", []),
        ("ogg", []),
        ("opus", []),
        ("m4a", []),
        ("wav", ["-ar", "11025", "-ac", "2", "-c:a", "pcm_u8"]),
        ("wav", ["-ar", "44100", "-ac", "2"]),
        ("wav", ["-ar", "48000", "-c:a", "pcm_f32le"]),
        ("wav", ["-c:a", "pcm_mulaw"]),
    ],
)
def test_every_format_becomes_the_same_waveform(tmp_path: Path, suffix: str, options: list[str]) -> None:
    waveform = decode_audio(tone(tmp_path / f"tone.{suffix}", *options))
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert waveform.size / SAMPLING_RATE == pytest.approx(0.5, abs=0.12)  # encoders pad
    assert dominant_hz(waveform) == pytest.approx(440, abs=15)
    assert np.abs(waveform).max() == pytest.approx(1 / 8, rel=0.35)  # FFmpeg mixes mono into stereo at -3 dB


def test_path_bytes_and_file_object_agree(tmp_path: Path) -> None:
    path = tone(tmp_path / "tone.mp3")
    waveform = decode_audio(path)
    np.testing.assert_array_equal(decode_audio(path.read_bytes()), waveform)
    np.testing.assert_array_equal(decode_audio(io.BytesIO(path.read_bytes())), waveform)
    with path.open("rb") as file:
        np.testing.assert_array_equal(decode_audio(file), waveform)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("channels", ["1", "2"])
def test_direct_path_gives_ffmpegs_samples(tmp_path: Path, suffix: str, channels: str) -> None:
    path = tone(tmp_path / f"tone.{suffix}", "-ac", channels)
    direct = audio._decode_pcm(path, MAX_SECONDS)
    assert direct is not None
    through_ffmpeg = audio._decode_ffmpeg(path, MAX_SECONDS, "tone")
    np.testing.assert_array_equal(direct[0], through_ffmpeg[0])
    assert direct[1] == through_ffmpeg[1] == 8000


def test_truncated_wav_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = tone(tmp_path / "tone.wav").read_bytes()
    waveform = decode_audio(whole[: len(whole) // 2])
    assert waveform.size / SAMPLING_RATE == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty file"), (b"I am text, not sound.", "not audio"), (b"RIFF\x24\0\0\0WAVE", "not audio")],
)
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=message):
        decode_audio(path)


def test_missing_file_folder_and_text_stream_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="does not exist"):
        decode_audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="is a folder"):
        decode_audio(tmp_path)
    with pytest.raises(AudioError, match="mode 'rb'"):
        decode_audio(io.StringIO("text"))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_long_audio_is_refused_without_decoding_it_all(tmp_path: Path, suffix: str) -> None:
    path = tone(tmp_path / f"long.{suffix}", seconds=1200)
    with pytest.raises(AudioError, match="more than 30 s"):
        decode_audio(path)


GOOD = np.full(SAMPLING_RATE // 2, 0.1, dtype=np.float32)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (GOOD[:0], "empty"),
        (GOOD[:800], "0.050 s"),
        (np.tile(GOOD, 100), "more than 30 s"),
        (GOOD * np.nan, "NaN"),
        (GOOD * np.inf, "NaN or infinite"),
        (GOOD.astype(np.float64), "float64, expected float32"),
        ((GOOD * 32767).astype(np.int16), "int16, expected float32.*divide by 32768"),
        (GOOD * 32768, "not divided by full scale"),
        (np.stack([GOOD, GOOD]), r"shape \(2, 8000\)"),
        (np.stack([GOOD, GOOD], axis=1), r"shape \(8000, 2\)"),
        (GOOD.tolist(), "is a list"),
    ],
)
def test_check_refuses_and_says_what_it_got(waveform, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        check_waveform(waveform)


def test_check_refuses_another_rate_and_names_the_remedy() -> None:
    with pytest.raises(AudioError, match=r"8000 Hz, expected 16000 Hz.*resample"):
        check_waveform(GOOD, sampling_rate=8000)


def test_check_returns_the_same_array() -> None:
    assert check_waveform(GOOD) is GOOD


def test_resample_keeps_a_tone_and_its_duration() -> None:
    seconds = np.arange(44_100) / 44_100
    waveform = resample(np.sin(2 * np.pi * 1000 * seconds).astype(np.float32), 44_100, SAMPLING_RATE)
    assert waveform.size == SAMPLING_RATE
    assert dominant_hz(waveform) == pytest.approx(1000, abs=1)


def test_level_of_a_sine_and_of_silence() -> None:
    sine = np.sin(2 * np.pi * 440 * np.arange(SAMPLING_RATE) / SAMPLING_RATE).astype(np.float32)
    assert rms_dbfs(sine) == pytest.approx(-3.01, abs=0.01)
    assert rms_dbfs(np.zeros(100, np.float32)) == float("-inf")
