"""Is the Hub there? Every kind of answer, silence included; and what an id of it looks like."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from huggingface_hub import constants

from inference.weights.hub import hub_is_reachable, is_hub_id


@contextmanager
def _server(status: int) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keeps the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("SPOKEN_DIGITS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return monkeypatch


@pytest.mark.parametrize(
    ("status", "expected"), [(200, True), (404, True), (429, True), (500, False), (503, False)]
)
def test_any_answer_but_a_server_error_counts(online, status, expected):
    with _server(status) as endpoint:
        online.setattr(constants, "ENDPOINT", endpoint)
        assert hub_is_reachable() is expected


def test_offline_mode_is_respected_without_asking(online):
    with _server(200) as endpoint:
        online.setattr(constants, "ENDPOINT", endpoint)
        online.setattr(constants, "HF_HUB_OFFLINE", True)
        assert not hub_is_reachable()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "not a url", "http://nowhere.invalid"])
def test_no_server_is_no(online, endpoint):
    online.setattr(constants, "ENDPOINT", endpoint)
    assert not hub_is_reachable(timeout_s=2.0)


def test_server_that_never_answers_is_left_in_time(online):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        online.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not hub_is_reachable(timeout_s=0.5)


def test_server_that_speaks_no_http_is_no(online):
    with socket.create_server(("127.0.0.1", 0)) as chatty:

        def greet() -> None:
            connection, _ = chatty.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"SSH-2.0-something\r\n")

        threading.Thread(target=greet, daemon=True).start()
        online.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{chatty.getsockname()[1]}")
        assert not hub_is_reachable(timeout_s=5.0)


def test_hanging_name_resolution_is_left_in_time(online):
    release = threading.Event()
    online.setattr(constants, "ENDPOINT", "http://slow.example")
    online.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(10) and [])
    assert not hub_is_reachable(timeout_s=0.3)
    release.set()


def test_a_hub_id_is_told_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert is_hub_id("facebook/wav2vec2-base")
    for name in ("runs/mine", "./runs/mine", "/runs/mine", "~/mine", "mine", "a/b/c", "a b/c", ""):
        assert not is_hub_id(name), name
