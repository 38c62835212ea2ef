"""The WebSocket by a real client against a running server: quick, slow, silent, cut off, wrong and many."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from inference.app import pcm_socket
from inference.app.api import build_api
from inference.app.recogniser import ClipRecogniser
from inference.backends.table import DEFAULT_BACKEND
from inference.command_line import EXIT_INTERRUPTED
from tests.inference.app.conftest import EXAMPLES, Server, documented

RATE = 16_000
WORD = soundfile.read(EXAMPLES / "seven.flac", dtype="int16")[0]
QUIET = np.random.default_rng(0).integers(-2, 3, RATE // 2).astype("<i2")
SPOKEN = np.concatenate([QUIET, WORD, QUIET])
SENT = SPOKEN.astype("<i2").tobytes()


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[first : first + size] for first in range(0, len(data), size)]


def opened(server: Server, query: str = "", **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}/v1/stream{query}", open_timeout=120, **options)


def converse(server: Server, messages: Iterable[bytes], query: str = "") -> list[dict]:
    """Sends messages and the end; returns the lines that came."""
    with opened(server, query) as socket:
        for message in messages:
            socket.send(message)
        socket.send(b"")
        return [json.loads(line) for line in socket]


def until_closed(socket: ClientConnection, message: str | bytes = b"") -> list[dict]:
    """Sends a message, unless the server is quicker; returns the lines that come before it closes."""
    lines = []
    with contextlib.suppress(ConnectionClosedError):
        socket.send(message)
    with contextlib.suppress(ConnectionClosedError):
        while True:
            lines.append(json.loads(socket.recv(timeout=120)))
    return lines


def without_times(lines: Iterable[dict]) -> list[dict]:
    """What does not depend on the hour and the load."""
    kept = [{name: value for name, value in line.items() if name != "latency_ms"} for line in lines]
    return [line for line in kept if line["type"] != "ready"]


def labels(lines: Iterable[dict]) -> list[int]:
    return [line["digit"] for line in lines if line["type"] == "digit"]


@pytest.fixture(scope="module")
def burst(server: Server) -> list[dict]:
    return converse(server, [SENT])


def test_a_burst_is_answered_as_by_the_command(burst: list[dict], run_module, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "spoken.wav", SPOKEN, RATE)
    options = ["--backend", DEFAULT_BACKEND, "--replay", str(tmp_path / "spoken.wav"), "--jsonl"]
    printed = [json.loads(line) for line in run_module("inference.live", *options).stdout.splitlines()]
    assert labels(burst) == [7]
    assert without_times(burst) == without_times(printed)
    assert {name for line in burst for name in line} == {name for line in printed for name in line}


def test_real_time_gives_what_a_burst_gives(server: Server, burst: list[dict]) -> None:
    def paced() -> Iterable[bytes]:
        for piece in pieces(SENT, RATE // 25):  # 20 ms
            time.sleep(0.02)
            yield piece

    assert without_times(converse(server, paced())) == without_times(burst)


def test_the_answer_comes_before_the_stream_ends(server: Server) -> None:
    with opened(server) as socket:
        socket.send(SENT)
        kinds = [json.loads(socket.recv(timeout=120))["type"] for _ in range(4)]
    assert kinds == ["ready", "state", "digit", "state"]


@pytest.mark.parametrize("size", [1, 333, 4801], ids=["a byte", "odd", "odd and long"])
def test_bytes_may_be_cut_anywhere(server: Server, burst: list[dict], size: int) -> None:
    start = len(QUIET) if size == 1 else 0  # bytes one by one only for a while
    messages = [SENT[:start], *pieces(SENT[start : start + 2000], size), SENT[start + 2000 :]]
    assert without_times(converse(server, [message for message in messages if message])) == without_times(
        burst
    )


def test_half_a_sample_at_the_end_is_told(server: Server, burst: list[dict]) -> None:
    lines = converse(server, [SENT, b"x"])
    assert lines[-1]["type"] == "hint"
    assert "half a sample" in lines[-1]["text"]
    assert without_times(lines[:-1]) == without_times(burst)


def test_another_rate_gives_the_same_digit(server: Server) -> None:
    lines = converse(server, [np.repeat(SPOKEN, 3).astype("<i2").tobytes()], "?rate=48000")
    assert (lines[0]["sampling_rate"], lines[0]["backend"]) == (48_000, DEFAULT_BACKEND)
    assert labels(lines) == [7]
    assert converse(server, [], "?backend=mfcc")[0]["backend"] == "mfcc"


def test_a_pause_of_the_sender_is_no_pause_of_the_speaker(server: Server, burst: list[dict]) -> None:
    middle = len(QUIET) * 2 + len(WORD)

    def slow() -> Iterable[bytes]:
        yield SENT[:middle]
        time.sleep(0.5)
        yield SENT[middle:]

    assert without_times(converse(server, slow())) == without_times(burst)


@pytest.mark.parametrize("audio", [b"", bytes(2 * RATE), QUIET.tobytes()], ids=["nothing", "zeros", "quiet"])
def test_silence_gives_no_word(server: Server, audio: bytes) -> None:
    lines = converse(server, [audio] if audio else [])
    assert [line["type"] for line in lines] == ["ready", "summary"]
    assert lines[-1]["seconds"] == pytest.approx(len(audio) / 2 / RATE, abs=0.1)


def test_a_word_that_the_end_cuts_off_is_answered(server: Server) -> None:
    lines = converse(server, [SENT[: 2 * (len(QUIET) + len(WORD) * 3 // 4)]])
    assert [line["type"] for line in lines if line["type"] in ("digit", "reject")] != []


def test_a_client_that_vanishes_in_a_word_leaves_the_server_unharmed(
    server: Server, burst: list[dict]
) -> None:
    for _ in range(5):
        socket = opened(server)
        socket.send(SENT[: len(QUIET) * 2 + len(WORD)])
        socket.socket.close()
    assert without_times(converse(server, [SENT])) == without_times(burst)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("query", "message", "code", "text"),
    [
        ("", "hello", 1003, "a text message came, expected binary ones of 16-bit little-endian PCM"),
        ("?rate=5", SENT, 1008, "rate=5: expected 8000 to 192000 Hz"),
        ("?rate=fast", SENT, 1008, "rate=fast: expected 8000"),
        ("?backend=nope", SENT, 1008, "unknown backend 'nope'; choose one of: mfcc"),
    ],
    ids=["text", "rate", "no rate", "backend"],
)
def test_what_cannot_be_heard_is_told_in_a_sentence(
    server: Server, query: str, message: str | bytes, code: int, text: str
) -> None:
    with opened(server, query) as socket:
        lines = until_closed(socket, message)
    assert lines[-1]["type"] == "error"
    assert text in lines[-1]["text"]
    assert socket.close_code == code
    assert socket.close_reason in lines[-1]["text"]


def test_the_example_of_the_documentation(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "spoken.raw").write_bytes(SENT)
    recorder = json.dumps("arecord -t raw -f S16_LE -r 16000")
    copy = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    player = [sys.executable, "-c", copy, str(tmp_path / "spoken.raw")]
    example = documented("import json").replace(f"{recorder}.split()", repr(player))
    exec(example.replace("127.0.0.1:7860", f"127.0.0.1:{server.port}"), {})
    assert capsys.readouterr().out == "7\n"


def test_a_message_above_the_limit_of_uploads_closes_the_stream(server: Server) -> None:
    with opened(server) as socket:
        until_closed(socket, bytes(2**20 + 2))
    assert socket.close_code == 1009


def test_sixteen_clients_at_once_get_the_same_answers(server: Server, burst: list[dict]) -> None:
    async def every() -> list[list[dict]]:
        turns = [asyncio.to_thread(converse, server, pieces(SENT, 3200)) for _ in range(16)]
        return await asyncio.gather(*turns)

    for lines in asyncio.run(every()):
        assert without_times(lines) == without_times(burst)


def test_more_streams_than_may_be_are_told_to_come_back(guarded: Server) -> None:
    key = {"additional_headers": {"Authorization": "Bearer anna:s3cret:with colon"}}
    with pytest.raises(InvalidStatus) as refused:
        opened(guarded)
    assert refused.value.response.status_code == 401
    assert b"credentials are missing or wrong" in refused.value.response.body
    with opened(guarded, **key) as first, opened(guarded, **key) as second:
        assert json.loads(first.recv(timeout=120))["type"] == "ready"
        assert "1 streams are open already" in until_closed(second)[-1]["text"]
        assert second.close_code == 1013
        first.send(b"")
        assert json.loads(first.recv(timeout=120))["type"] == "summary"


def test_ctrl_c_ends_a_server_that_is_being_talked_to(start_server: Callable[..., Server]) -> None:
    server = start_server("--backend", "mfcc")
    with opened(server) as socket:
        socket.send(SENT)
        assert json.loads(socket.recv(timeout=120))["type"] == "ready"
        server.process.send_signal(2)
        assert server.process.wait(timeout=300) == EXIT_INTERRUPTED
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    ("limit", "text"),
    [("BODY_SECONDS", "nothing came for 0.01 s"), ("STREAM_SECONDS", "a stream may last 0.01 s")],
)
def test_a_stream_that_is_left_alone_ends(monkeypatch: pytest.MonkeyPatch, limit: str, text: str) -> None:
    monkeypatch.setattr(pcm_socket, limit, 0.01)
    api = build_api(ClipRecogniser({}), "mfcc", max_waiting=2, workers=1)
    with TestClient(api) as client, client.websocket_connect("/v1/stream") as socket:
        lines = []
        while (message := socket.receive())["type"] == "websocket.send":
            lines.append(json.loads(message["text"]))
    assert lines[0]["type"] == "ready"
    assert text in lines[-1]["text"]
    assert message["code"] == 1008
