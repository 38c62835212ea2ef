"""The audio border: every format in, one kind of waveform out, and refusals that teach."""

import contextlib
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings, strategies

from inference import audio
from inference.audio import (
    MAX_SECONDS,
    SAMPLING_RATE,
    check_waveform,
    decode_audio,
    open_recording,
    resample,
    rms_dbfs,
)
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
    with path.open("rb") as file:
        direct = audio._read_pcm(file, MAX_SECONDS, "tone")
        through_ffmpeg = audio._read_ffmpeg(file, MAX_SECONDS, "tone")
    assert direct is not None
    np.testing.assert_array_equal(direct[0], through_ffmpeg[0])
    assert direct[1] == through_ffmpeg[1] == 8000


def heard_piecewise(source: audio.AudioSource, most_seconds: float = 60.0) -> tuple[np.ndarray, int]:
    """What ``open_recording`` gives, and its rate."""
    taken, size = [np.zeros(0, np.float32)], 0
    with open_recording(source) as (sampling_rate, pieces):
        for piece in pieces:
            assert piece.dtype == np.float32
            assert piece.ndim == 1
            taken.append(piece)
            size += piece.size
            if size > most_seconds * sampling_rate:
                break
    return np.concatenate(taken), sampling_rate


#: Codec, container, sampling rate and channels: what phones, browsers and recorders write, and what there is
#: besides.
CODECS = """
aac m4a 16000 1, adpcm_ima_wav wav 16000 1, flac ogg 16000 1, libmp3lame mp3 16000 2, libopus ogg 16000 1,
libopus webm 16000 1, libvorbis oga 16000 1, mp2 mpg 48000 2, pcm_f32le wav 16000 1, pcm_mulaw au 16000 1,
pcm_s16le mov 16000 1, pcm_s24le wav 16000 2, wmav2 wma 16000 2
"""
RARE_CODECS = """
aac aac 16000 1, aac ts 16000 1, aac flv 22050 1, ac3 ac3 48000 2, eac3 eac3 48000 2,
adpcm_adx adx 16000 1, adpcm_ima_apm apm 16000 1, adpcm_ima_qt aifc 16000 1, adpcm_ima_wav avi 16000 2,
adpcm_ima_wav mkv 16000 1, adpcm_ms wav 16000 1, adpcm_swf flv 22050 1,
adpcm_swf wav 22050 1, adpcm_yamaha wav 16000 1, alac caf 16000 1, alac m4a 16000 1, dca dts 48000 2,
flac flac 16000 2, flac mkv 16000 1, g722 wav 16000 1, g723_1 wav 8000 1, g726 wav 8000 1,
libgsm_ms wav 8000 1, libmp3lame avi 16000 1, libopus caf 48000 1,
libopus mp4 16000 1, libopus ts 16000 1, libspeex spx 16000 1,
libvorbis webm 16000 1, mlp mlp 48000 1, nellymoser flv 16000 1,
pcm_alaw wav 16000 1, pcm_f64le wav 16000 1,
pcm_s16be aiff 16000 1, pcm_s16le avi 16000 1, pcm_s16le w64 16000 2,
pcm_s32le wav 16000 1, pcm_s64le wav 16000 1, pcm_s8 caf 16000 1, pcm_u8 wav 16000 1,
real_144 rm 8000 1, s302m ts 48000 2, sbc sbc 16000 1, truehd thd 48000 2, tta tta 16000 1,
wavpack wv 16000 1, wmav1 wma 16000 1, wmav2 avi 16000 1
"""
CASES = [
    pytest.param(" ".join(case.split()), marks=marks)
    for codecs, marks in ((CODECS, ()), (RARE_CODECS, pytest.mark.slow))
    for case in codecs.split(",")
]


@pytest.mark.parametrize("case", CASES)
def test_no_sample_of_any_codec_is_lost(tmp_path: Path, case: str) -> None:
    codec, suffix, rate, channels = case.split()
    path = tmp_path / f"tone.{suffix}"
    source = f"sine=frequency=440:duration=0.8:sample_rate={rate}"
    options = ["-c:a", codec, "-ac", channels, "-strict", "-2", path]
    command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", source, *options]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"this FFmpeg does not write {codec} into {suffix}")
    command = ["ffmpeg", "-loglevel", "error", "-i", path, "-f", "f32le", "-ac", "1", "-ar", "16000", "-"]
    expected_s = len(subprocess.run(command, capture_output=True).stdout) / 4 / SAMPLING_RATE
    assert expected_s > 0.75
    waveform = decode_audio(path)
    piecewise, sampling_rate = heard_piecewise(path)
    # Versions of FFmpeg differ by some milliseconds of Opus' lead.
    assert waveform.size / SAMPLING_RATE == pytest.approx(expected_s, abs=0.006)
    assert piecewise.size / sampling_rate == pytest.approx(expected_s, abs=0.006)
    np.testing.assert_array_equal(np.clip(resample(piecewise, sampling_rate, SAMPLING_RATE), -1, 1), waveform)
    assert dominant_hz(waveform[1600:11200]) == pytest.approx(440, abs=15)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "mp3", "ogg"])
def test_another_decoder_hears_the_same(tmp_path: Path, suffix: str) -> None:
    """Where packets bear time stamps from 0 on, torchcodec loses nothing either."""
    decoders = pytest.importorskip("torchcodec.decoders", exc_type=(ImportError, RuntimeError, OSError))
    path = tone(tmp_path / f"tone.{suffix}", "-ar", "16000")
    expected = decoders.AudioDecoder(str(path)).get_all_samples().data.numpy()[0]
    # The two bring their own versions of FFmpeg.
    np.testing.assert_allclose(decode_audio(path), expected, atol=1e-3)


@pytest.mark.parametrize("suffix", ["webm", "ts", "mkv", "ogg"])
def test_time_stamps_need_not_start_at_0(tmp_path: Path, suffix: str) -> None:
    path = tone(tmp_path / f"late.{suffix}", "-output_ts_offset", "100")
    assert decode_audio(path).size / SAMPLING_RATE == pytest.approx(0.5, abs=0.15)
    waveform, sampling_rate = heard_piecewise(path)
    assert waveform.size / sampling_rate == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_recorder_that_could_not_correct_its_header(tmp_path: Path, suffix: str) -> None:
    """Written into a pipe, or by a program that died, a header says 0, or more than there is."""
    whole = tone(tmp_path / f"whole.{suffix}")
    command = ["ffmpeg", "-loglevel", "error", "-i", whole, "-f", suffix, "-"]
    piped = subprocess.run(command, capture_output=True, check=True).stdout
    variants = [piped]
    if suffix == "wav":
        data = piped.index(b"data")
        variants += [piped[:4] + bytes(4) + piped[8 : data + 4] + bytes(4) + piped[data + 8 :]]
        variants += [piped[: data + 4] + bytes(4) + piped[data + 8 :]]
    expected = decode_audio(whole)
    for content in variants:
        np.testing.assert_array_equal(decode_audio(content), expected)
        assert heard_piecewise(content)[0].size == expected.size / 2


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_float_samples_of_another_scale(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, subtype: str
) -> None:
    """Whole numbers are sixteen bits that were not divided; any other scale is refused, not clipped."""
    sound = np.rint(np.sin(np.arange(8000) * 0.2) * np.linspace(0.0, 20_000.0, 8000))
    soundfile.write(tmp_path / "right.wav", (sound / 32_768).astype(np.float32), 16_000, subtype=subtype)
    soundfile.write(tmp_path / "whole.wav", sound.astype(np.float32), 16_000, subtype=subtype)
    soundfile.write(tmp_path / "odd.wav", (sound * 0.33).astype(np.float32), 16_000, subtype=subtype)
    expected = decode_audio(tmp_path / "right.wav")
    assert not caplog.records
    np.testing.assert_array_equal(decode_audio(tmp_path / "whole.wav"), expected)
    np.testing.assert_array_equal(heard_piecewise(tmp_path / "whole.wav")[0], expected)
    assert "whole numbers; divided by 32768" in caplog.text
    for read in (decode_audio, heard_piecewise):
        with pytest.raises(AudioError, match="not divided by full scale"):
            read(tmp_path / "odd.wav")


def test_an_impulse_of_ones_is_no_other_scale(tmp_path: Path) -> None:
    sound = np.sin(np.arange(16_000) * 0.2).astype(np.float32) / 2
    sound[:8000] = 0
    sound[100] = 1.0
    soundfile.write(tmp_path / "click.wav", sound, 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(decode_audio(tmp_path / "click.wav")[8192:], sound[8192:])


def test_inverted_channels_do_not_cancel(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    generator = np.random.default_rng(0)
    sound, other = generator.uniform(-0.5, 0.5, (2, 16_000)).astype(np.float32)
    for name, channels, expected in (
        ("same", (sound, sound), sound),
        ("unrelated", (sound, other), (sound + other) / 2),
        ("one silent", (sound, 0 * sound), sound / 2),
    ):
        soundfile.write(tmp_path / f"{name}.wav", np.stack(channels, axis=1), 16_000)
        np.testing.assert_allclose(decode_audio(tmp_path / f"{name}.wav"), expected, atol=1e-4)
    assert not caplog.records
    for number, suffix in enumerate(("wav", "flac", "aiff"), start=1):
        path = tmp_path / f"inverted.{suffix}"
        soundfile.write(path, np.stack([sound, -0.9 * sound], axis=1), 16_000)
        np.testing.assert_allclose(decode_audio(path), sound, atol=1e-4)
        np.testing.assert_allclose(heard_piecewise(path)[0], sound, atol=1e-4)
        assert caplog.text.count("channels cancel each other") == 2 * number


def test_text_in_a_file_need_not_be_utf8(tmp_path: Path) -> None:
    plain = tone(tmp_path / "plain.wav", "-metadata", "title=Motorhead").read_bytes()
    for text in ("Mot\xf6rhead".encode("latin-1"), "\u8a66\u9a13\u3042".encode("shift-jis") + b"   "):
        content = plain.replace(b"Motorhead", text)
        assert content != plain
        np.testing.assert_array_equal(decode_audio(content), decode_audio(plain))
        np.testing.assert_array_equal(heard_piecewise(content)[0], heard_piecewise(plain)[0])


def test_a_file_opens_no_other_file(tmp_path: Path) -> None:
    secret = tone(tmp_path / "secret.wav")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n"
    for content in (playlist, f"ffconcat version 1.0\nfile {secret.name}\n"):
        (tmp_path / "list.wav").write_text(content)
        for read in (decode_audio, heard_piecewise):
            with pytest.raises(AudioError, match="not audio that FFmpeg can read"):
                read(tmp_path / "list.wav")


def test_damaged_packets_are_left_out_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(tone(tmp_path / "tone.mkv", "-c:a", "flac", seconds=4).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    assert 3.0 < heard_piecewise(bytes(content))[0].size / 8000 <= 4.0
    assert "damaged packets are left out" in caplog.text


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Small files of many kinds, to be damaged."""
    folder = tmp_path_factory.mktemp("seeds")
    kinds = [("wav",), ("wav", "-c:a", "adpcm_ms"), ("wav", "-c:a", "pcm_f32le", "-ac", "2"), ("flac",)]
    kinds += [("mp3",), ("ogg",), ("m4a",), ("webm",), ("aiff",), ("ts",), ("caf",), ("wma",)]
    titled = ("-metadata", "title=a title")
    return [
        tone(folder / f"{number}.{suffix}", *options, *titled, seconds=0.3).read_bytes()
        for number, (suffix, *options) in enumerate(kinds)
    ]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=strategies.data())
def test_damaged_files_are_read_or_refused(seeds: list[bytes], data: strategies.DataObject) -> None:
    """Whatever is in a file, a whole clip and a long recording give sound or an AudioError."""
    content = bytearray(data.draw(strategies.sampled_from(seeds), "seed"))
    # Headers are where damage does most.
    places = strategies.integers(0, 200) | strategies.integers(0, len(content) - 1)
    for place, value in data.draw(strategies.lists(strategies.tuples(places, strategies.integers(0, 255)))):
        content[place] = value
    del content[data.draw(strategies.integers(1, len(content)) | strategies.just(len(content)), "length") :]
    with contextlib.suppress(AudioError):
        check_waveform(decode_audio(bytes(content)))
    with contextlib.suppress(AudioError):
        waveform, _ = heard_piecewise(bytes(content))
        assert np.isfinite(waveform).all()


def test_truncated_wav_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = tone(tmp_path / "tone.wav").read_bytes()
    waveform = decode_audio(whole[: len(whole) // 2])
    assert waveform.size / SAMPLING_RATE == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"I am text, not sound.", "not audio"), (b"RIFF\x24\0\0\0WAVE", "not audio")],
)
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(content)
    for read in (decode_audio, heard_piecewise):
        with pytest.raises(AudioError, match=message):
            read(path)


def test_missing_file_folder_and_text_stream_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="does not exist"):
        decode_audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="is a folder"):
        decode_audio(tmp_path)
    with pytest.raises(AudioError, match="mode 'rb'"):
        decode_audio(io.StringIO("text"))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_long_audio_is_refused_without_decoding_it_all(tmp_path: Path, suffix: str) -> None:
    path = tone(tmp_path / f"long.{suffix}", seconds=300)
    with pytest.raises(AudioError, match="more than 30 s"):
        decode_audio(path)
    with open_recording(path) as (sampling_rate, pieces):
        sizes = [piece.size for piece in pieces]
    assert sum(sizes) / sampling_rate == pytest.approx(300, abs=0.2)
    assert max(sizes) < sampling_rate


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
