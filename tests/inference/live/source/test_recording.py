"""What is kept can be replayed: the same samples, the same events, even after a kill."""

import json
import signal
import wave

import numpy as np
import pytest

import inference.live.__main__ as live
from inference.audio import SAMPLING_RATE
from inference.errors import UserError
from inference.live.source.capture import HAND_OVER_MS
from inference.live.source.items import Block
from inference.live.source.microphone import Microphone
from inference.live.source.recording import RecordedSource, to_int16
from inference.live.source.replay import Replay
from tests.inference.live.fakes import ConstantBackend, MemorySource, block, opening, words
from tests.inference.live.test_main import start


def read(path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def consume(source, num_blocks=None) -> np.ndarray:
    waveforms, stream = [], source.stream()
    for item in stream:
        if isinstance(item, Block):
            waveforms.append(item.waveform)
        if len(waveforms) == num_blocks:
            break
    stream.close()
    return np.concatenate(waveforms)


def test_a_recorded_microphone_replays_sample_by_sample(fake_sound, tmp_path):
    fake_sound({"refused_rates": [16_000]})
    heard = consume(RecordedSource(Microphone(), str(tmp_path / "out.wav")), 10)
    assert heard.size >= 10 * 3 * 441
    assert np.array_equal(consume(Replay(str(tmp_path / "out.wav"))), heard)


def test_every_16_bit_value_survives():
    values = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(np.frombuffer(to_int16(values.astype(np.float32) / 32768), "<i2"), values)


def test_missing_samples_become_silence(tmp_path):
    sound = np.full(160, 0.5, np.float32)
    consume(
        RecordedSource(
            MemorySource(opening(), block(sound), block(sound, missing=320)), str(tmp_path / "a.wav")
        )
    )
    samples, rate = read(tmp_path / "a.wav")
    assert rate == 16_000
    assert np.array_equal(samples, np.repeat([16384, 0, 16384], [160, 320, 160]))


def test_another_rate_goes_on_in_another_file(tmp_path):
    sound = np.full(160, 0.5, np.float32)
    items = [opening(), block(sound), opening(48_000), block(sound), block(sound)]
    consume(RecordedSource(MemorySource(*items), str(tmp_path / "a.wav")))
    assert (read(tmp_path / "a.wav")[0].size, read(tmp_path / "a.wav")[1]) == (160, 16_000)
    assert (read(tmp_path / "a-2.wav")[0].size, read(tmp_path / "a-2.wav")[1]) == (320, 48_000)


def test_a_killed_session_leaves_a_recording_that_can_be_played(fake_sound, tmp_path):
    fake_sound()
    process = start("--detector", "energy", "--record", str(tmp_path / "out.wav"))
    assert "listening" in process.stderr.readline()
    while (tmp_path / "out.wav").stat().st_size < 16_000:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    samples, _ = read(tmp_path / "out.wav")
    # The header is written anew with each block of audio that was handed over.
    assert samples.size >= 7900 - SAMPLING_RATE * HAND_OVER_MS // 1000
    assert np.array_equal(samples, np.arange(samples.size) % 30_000)


def test_replaying_a_recording_gives_identical_events(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(live, "load_backend", lambda *arguments: ConstantBackend())
    rng = np.random.default_rng(0)
    waveform = words(0.3, 0.4, 0.5, 0.3, 0.5, 0.6, 0.5) * rng.uniform(-0.5, 0.5, 49_600).astype(np.float32)
    consume(RecordedSource(MemorySource(opening(), block(waveform)), str(tmp_path / "first.wav")))

    def events(path: str, *arguments: str) -> list[dict]:
        assert (
            live.main(["--replay", str(tmp_path / path), "--jsonl", "--detector", "energy", *arguments]) == 0
        )
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [
            {name: value for name, value in record.items() if name != "latency_ms"}
            for record in records
            if record["type"] not in ("ready", "summary")
        ]

    first = events("first.wav", "--record", str(tmp_path / "second.wav"))
    assert [record["type"] for record in first].count("digit") == 3
    assert events("second.wav") == first


@pytest.mark.parametrize("path", ["/proc/x.wav", "/dev/null", "in.wav/x.wav"])
def test_an_unwritable_place_is_refused_before_listening(monkeypatch, tmp_path, capsys, path):
    monkeypatch.chdir(tmp_path)
    consume(RecordedSource(MemorySource(opening(), block(words(0.5))), "in.wav"))
    assert live.main(["--replay", "in.wav", "--detector", "energy", "--record", path]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --record {path} ")
    assert "listening" not in error


def test_a_folder_is_refused_as_a_recording_and_nothing_is_left_in_it(tmp_path, capsys):
    assert live.main(["--record", str(tmp_path)]) == 2
    assert "is a folder, expected a file to write" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_checking_a_place_leaves_what_is_there(tmp_path):
    (tmp_path / "old.wav").write_bytes(b"kept")
    RecordedSource(MemorySource(), str(tmp_path / "old.wav"))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"kept"]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_place_that_becomes_unwritable_is_a_sentence(tmp_path):
    source = RecordedSource(MemorySource(opening(), block(words(0.5))), str(tmp_path / "in" / "x.wav"))
    (tmp_path / "in").rmdir()
    with pytest.raises(UserError, match=r"x\.wav cannot be written"):
        consume(source)
