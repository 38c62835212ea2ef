"""The HTTP routes of a running server, asked as clients do, kind and unkind ones."""

import concurrent.futures
import io
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from inference.backends.table import DEFAULT_BACKEND
from inference.vocabulary import DIGITS
from tests.inference.app.conftest import EXAMPLES, Server

SEVEN = (EXAMPLES / "seven.flac").read_bytes()


def post(
    url: str, body: bytes, content_type: str = "application/octet-stream", **headers: str
) -> tuple[int, dict]:
    request = urllib.request.Request(url, body, {"Content-Type": content_type, **headers})
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def form(content: bytes, field: str = "file", name: str = "x.wav") -> tuple[bytes, str]:
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
    return head + content + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


def wav(waveform: np.ndarray, sampling_rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sampling_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=120) as response:
        return response.read().decode()


def test_bytes_and_form_give_the_same_whole_answer(server: Server) -> None:
    status, answer = post(f"{server.url}/predict", SEVEN)
    assert status == 200
    assert set(answer["probabilities"]) == set(DIGITS.labels)
    assert answer["latency_ms"]["total"] >= answer["latency_ms"]["decode"] > 0
    status, again = post(f"{server.url}/predict", *form(SEVEN))
    assert status == 200
    assert {**again, "latency_ms": None} == {**answer, "latency_ms": None}


def test_a_long_recording_is_cut_at_its_one_word(server: Server) -> None:
    word = soundfile.read(io.BytesIO(SEVEN))[0]
    noise = 1e-4 * np.random.default_rng(0).standard_normal(24_000)
    _, one = post(f"{server.url}/predict", wav(np.concatenate([noise, word, noise])))
    assert 1.4 < one["start_s"] < one["end_s"] < 2.8
    _, none = post(f"{server.url}/predict", wav(np.concatenate([noise, noise])))
    assert (none["label"], none["reason"]) == (None, "no_speech")
    _, two = post(f"{server.url}/predict", wav(np.concatenate([noise, word, noise, word])))
    assert (two["label"], two["reason"]) == (None, "several_words")
    assert [word["label"] for word in two["words"]] == ["7", "7"]
    assert not one["words"]
    assert two["duration_s"] == pytest.approx((2 * noise.size + 2 * word.size) / 16_000, abs=1e-3)


def test_channels_that_cancel_are_told(server: Server) -> None:
    word = soundfile.read(io.BytesIO(SEVEN))[0]
    _, plain = post(f"{server.url}/predict", wav(word))
    _, inverted = post(f"{server.url}/predict", wav(np.stack([word, -word], axis=1)))
    assert (plain["label"], plain["notes"]) == ("7", [])
    assert inverted["label"] == "7"
    assert inverted["notes"] == ["its channels cancel each other; the loudest one is taken"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "no audio was sent"),
        (b"not audio" * 100, 415, "not audio that FFmpeg can read"),
        (SEVEN[:200], 415, ""),
        (wav(np.zeros(100)), 415, "expected at least 0.1 s"),
        (wav(np.zeros(16_000 * 6)), 415, "lasts more than 5 s"),
        (bytes(2**20 + 1), 413, "larger than 1 MB"),
    ],
    ids=["empty", "text", "cut off", "too short", "too long", "too large"],
)
def test_what_cannot_be_answered_is_told_why(server: Server, body: bytes, status: int, message: str) -> None:
    code, answer = post(f"{server.url}/predict", body)
    assert code == status
    assert message in answer["error"]


def test_wrong_forms_and_backends_are_told_why(server: Server) -> None:
    assert post(f"{server.url}/predict", *form(SEVEN, field="audio"))[0] == 400
    assert post(f"{server.url}/predict", b"--b nonsense", "multipart/form-data; boundary=b")[0] == 400
    assert post(f"{server.url}/predict", SEVEN, "multipart/form-data")[0] == 400
    status, answer = post(f"{server.url}/predict?backend=nope", SEVEN)
    assert status == 422
    assert "choose one of: mfcc" in answer["error"]


@pytest.mark.parametrize("name", ["../../../tmp/escaped.wav", "/etc/passwd", "..\\..\\x.wav", "a\x00b.wav"])
def test_a_file_name_leads_nowhere(server: Server, name: str, tmp_path: Path) -> None:
    assert post(f"{server.url}/predict", *form(SEVEN, name=name))[0] in (200, 400)
    assert not Path("/tmp/escaped.wav").exists()
    for path in ("/gradio_api/file=/etc/passwd", "/gradio_api/file=../../etc/passwd", "/../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            read(server.url + path)
        assert refusal.value.code in (403, 404)


def test_interrupted_and_unfinished_uploads_leave_the_server_unharmed(server: Server) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + SEVEN[:500]
            )
    assert post(f"{server.url}/predict", SEVEN)[0] == 200
    assert "Traceback" not in server.log.read_text()


def test_health_metrics_and_description(server: Server) -> None:
    assert json.loads(read(f"{server.url}/health")) == {"status": "ok"}
    post(f"{server.url}/predict", SEVEN)
    lines = read(f"{server.url}/metrics").splitlines()
    assert any(
        line.startswith(f'spoken_digits_requests_total{{backend="{DEFAULT_BACKEND}",status="200"}}')
        for line in lines
    )
    description = json.loads(read(f"{server.url}/openapi.json"))
    assert set(description["paths"]) == {
        "/predict",
        "/health",
        "/metrics",
        "/v1/models",
        "/v1/audio/transcriptions",
    }


def test_many_clients_at_once_get_the_same_right_answer(server: Server) -> None:
    _, expected = post(f"{server.url}/predict", SEVEN)
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: post(f"{server.url}/predict", SEVEN), range(320)))
    assert {status for status, _ in answers} == {200}
    assert {answer["score"] for _, answer in answers} == {expected["score"]}
    assert process.memory_info().rss - before < 100e6


def test_no_input_in_the_description_breaks_the_server(server: Server) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"]
    checks = ["--checks", "not_a_server_error,status_code_conformance,response_schema_conformance"]
    limits = ["--max-examples", "8", "--seed", "1", "--phases", "examples,coverage,fuzzing"]
    result = subprocess.run([*command, *checks, *limits], capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stdout[-4000:]


def test_without_the_right_credentials_only_health_answers(guarded: Server) -> None:
    assert json.loads(read(f"{guarded.url}/health"))["status"] == "ok"
    right = {"Authorization": "Basic YW5uYTpzM2NyZXQ6d2l0aCBjb2xvbg=="}
    key = {"Authorization": "Bearer anna:s3cret:with colon"}
    wrong = ["", "Basic", "Basic ###", "Basic YW5uYTp3cm9uZw==", "Bearer x"]
    assert [post(f"{guarded.url}/predict", SEVEN, **header)[0] for header in (right, key)] == [200, 200]
    assert [post(f"{guarded.url}/predict", SEVEN, Authorization=header)[0] for header in wrong] == [401] * 5
    for path in ("/", "/metrics", "/openapi.json", "/gradio_api/info"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            read(guarded.url + path)
    arguments = " ".join(psutil.Process(guarded.process.pid).cmdline())
    assert "s3cret" not in arguments + guarded.log.read_text()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/predict", "POST"),
        ("GET", "/predict", "POST"),
        ("BREW", "/predict", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/metrics", "GET"),
        ("GET", "/v1/audio/transcriptions", "POST"),
    ],
)
def test_another_method_is_told_the_right_one(server: Server, method: str, path: str, allowed: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(urllib.request.Request(server.url + path, method=method), timeout=300)
    assert raised.value.code == 405
    assert raised.value.headers["Allow"] == allowed
    assert allowed in str(json.loads(raised.value.read())["error"])


def test_health_has_a_head(server: Server) -> None:
    request = urllib.request.Request(f"{server.url}/health", method="HEAD")
    with urllib.request.urlopen(request, timeout=300) as response:
        assert (response.status, response.read()) == (200, b"")
