"""A cache that cannot be written is told as such, by whatever wanted to keep something there."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.app.page import EXAMPLES
from tests.conftest import run_modules

CLIP = str(EXAMPLES / "seven.flac")


class Hub(http.server.BaseHTTPRequestHandler):
    """A Hub on which every repository holds one file."""

    def do_GET(self) -> None:
        listing = {"id": "owner/name", "sha": "a" * 40, "siblings": [{"rfilename": "config.json"}]}
        content = json.dumps(listing).encode()
        self.send_response(200)
        for name, value in (
            ("Content-Length", str(len(content))),
            ("Content-Type", "application/json"),
            ("X-Repo-Commit", "a" * 40),
            ("ETag", '"abc"'),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


#: What to type, and the variable that names the folder.
COMMANDS = [
    (["finetune.train", "--dataset", "owner/name", "--output_dir", "OUT"], "HF_HOME"),
    (["finetune.train", "--model", "owner/name", "--dataset", "CLIPS", "--output_dir", "OUT"], "HF_HOME"),
    (["inference.predict", CLIP, "--backend", "wav2vec2", "--checkpoint", "owner/name"], "HF_HOME"),
    (["inference.predict", CLIP, "--backend", "whisper", "--checkpoint", "owner/name"], "HF_HOME"),
    (["inference.predict", CLIP, "--backend", "whisper"], "XDG_CACHE_HOME"),
]


def test_a_cache_that_cannot_be_written(hub: str, spoken_corpus: Path, tmp_path: Path) -> None:
    # Where a file stands no folder can be made, not even by root.
    (tmp_path / "file").touch()
    offline = ("HF_HUB_OFFLINE", "SPOKEN_DIGITS_OFFLINE")
    environment = {name: value for name, value in os.environ.items() if name not in offline}
    environment |= dict.fromkeys(("HF_HOME", "XDG_CACHE_HOME"), str(tmp_path / "file" / "cache"))
    environment |= {"HF_ENDPOINT": hub, "no_proxy": "*"}
    stand_ins = {"OUT": str(tmp_path / "out"), "CLIPS": str(spoken_corpus)}
    commands = [[stand_ins.get(word, word) for word in command] for command, _ in COMMANDS]
    for (command, variable), (code, _, error) in zip(
        COMMANDS, run_modules(*commands, **environment), strict=True
    ):
        assert code == 2, (command, error)
        assert f"Set {variable} to a folder that can be written" in error, command
        assert "audio" not in error
        assert "Traceback" not in error
