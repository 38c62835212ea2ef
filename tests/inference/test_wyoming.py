"""Speech to text by the client of the protocol's own package, at a real socket."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info

from inference.backends.table import DEFAULT_BACKEND
from inference.wyoming import main
from tests.conftest import PROJECT
from tests.inference.app.conftest import EXAMPLES

RATE = 16_000
QUIET = np.random.default_rng(0).integers(-2, 3, RATE).astype("<i2")


def spoken(*names: str) -> np.ndarray:
    words = [soundfile.read(EXAMPLES / f"{name}.flac", dtype="int16")[0] for name in names]
    return np.concatenate([QUIET, *(part for word in words for part in (word, QUIET))])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    command = [sys.executable, "-m", "inference.wyoming", "--uri", "tcp://127.0.0.1:0"]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        found = re.search(r"listening on tcp://127.0.0.1:(\d+) ", line)
        assert found, line + process.stderr.read()
        yield int(found[1])
        process.terminate()
        assert "Traceback" not in process.stderr.read()


async def transcribe(client: AsyncTcpClient, samples: np.ndarray, rate: int = RATE) -> str:
    """Sends an utterance as a satellite does; ``samples`` ``(num_samples[, channels])``."""
    layout = {"rate": rate, "width": 2, "channels": samples.shape[1] if samples.ndim == 2 else 1}
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(**layout).event())
    for first in range(0, len(samples), 1024):
        audio = samples[first : first + 1024].astype("<i2").tobytes()
        await client.write_event(AudioChunk(**layout, audio=audio).event())
    await client.write_event(AudioStop().event())
    answer = await client.read_event()
    assert answer is not None
    assert Transcript.is_type(answer.type)
    return Transcript.from_event(answer).text


def ask(port: int, *utterances: np.ndarray, rate: int = RATE) -> list[str]:
    """The answers to utterances that follow each other on one connection."""

    async def converse() -> list[str]:
        async with AsyncTcpClient("127.0.0.1", port, read_timeout=120) as client:
            return [await transcribe(client, utterance, rate) for utterance in utterances]

    return asyncio.run(converse())


def test_a_client_is_told_what_there_is(port: int) -> None:
    async def describe() -> Info:
        async with AsyncTcpClient("127.0.0.1", port, read_timeout=120) as client:
            await client.write_event(Describe().event())
            return Info.from_event(await client.read_event())

    (program,) = asyncio.run(describe()).asr
    (model,) = program.models
    assert (program.name, model.name, model.languages) == ("spoken-digits", DEFAULT_BACKEND, ["en"])
    assert not program.prefers_auto_gain_enabled


def test_utterances_are_answered_one_after_the_other(port: int) -> None:
    assert ask(port, spoken("seven"), spoken("three", "five"), spoken("zero")) == ["7", "3 5", "0"]


def test_what_is_refused_has_an_empty_text(port: int) -> None:
    rng = np.random.default_rng(1)
    noise = np.concatenate([QUIET, rng.integers(-9000, 9000, RATE // 3).astype("<i2"), QUIET])
    nothing, too_long = QUIET[:0], np.tile(QUIET, 31)
    assert ask(port, QUIET, nothing, too_long, noise, spoken("nine")) == ["", "", "", "", "9"]


def test_other_layouts_give_the_same(port: int) -> None:
    word = np.repeat(spoken("seven"), 3)
    assert ask(port, np.stack([word, word], axis=1), rate=48_000) == ["7"]


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b'{"type": "audio-chunk"}\n', b"[]\n"])
def test_who_speaks_something_else_is_left_and_others_are_answered(port: int, sent: bytes) -> None:
    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        return await asyncio.wait_for(reader.read(), 120)

    assert asyncio.run(talk()) == b""
    assert ask(port, spoken("seven")) == ["7"]


@pytest.mark.parametrize("uri", ["127.0.0.1:10300", "tcp://127.0.0.1", "unix:///run/words", "tcp://h:99999"])
def test_an_address_that_is_none(uri: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--uri", uri])
    assert ended.value.code == 2
    assert f"{uri!r}: expected tcp://HOST:PORT, as in tcp://127.0.0.1:10300" in capsys.readouterr().err


def test_a_port_that_is_taken(port: int, capsys: pytest.CaptureFixture) -> None:
    assert main(["--uri", f"tcp://127.0.0.1:{port}"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert f"cannot listen on 127.0.0.1 port {port}" in error
    assert error.endswith("choose another --uri.")


def test_words_of_ones_own(tmp_path: Path) -> None:
    """The words of a vocabulary without a model are told before anything listens."""
    (tmp_path / "words.yaml").write_text("labels:\n  stop: [stop]\n  go: [go]\n")
    command = [sys.executable, "-m", "inference.wyoming", "--vocabulary", str(tmp_path / "words.yaml")]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=dict(os.environ))
    assert found.returncode == 2
    assert "['stop', 'go']" in found.stderr
    assert "listening" not in found.stderr
