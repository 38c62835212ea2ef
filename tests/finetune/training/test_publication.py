"""What arrives at the Hub, here a server of three routes on loopback."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from finetune import train

TOKEN = "hf_secret"


class Hub(ThreadingHTTPServer):
    """Takes uploads as the Hub does; keeps the files of every commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Route)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.commits: list[dict[str, bytes]] = []
        self.refuses = False


class Route(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/api/repos/create"):
            self.answer({"url": f"{self.server.url}/me/words"})
        elif self.path.endswith("/api/validate-yaml"):
            self.answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif self.server.refuses:
            self.answer({"error": "full"}, 403)
        else:
            lines = [json.loads(line) for line in body.splitlines()]
            self.server.commits.append(
                {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
            )
            self.answer({"commitUrl": f"{self.server.url}/me/words/commit/0", "commitOid": "0" * 40})

    def answer(self, content: dict, status: int = 200) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("transformers.utils.hub._hf_api", None)
    yield server
    server.shutdown()
    server.server_close()


def push(config: Path, output_dir: Path) -> int:
    words = f"--config {config} --output_dir {output_dir} --max_steps 2 --eval_strategy steps --eval_steps 2"
    words += (
        f" --save_strategy steps --save_steps 2 --push_to_hub --hub_model_id me/words --hub_token {TOKEN}"
    )
    return train.main(words.split())


def test_the_card_and_the_checkpoint_are_uploaded_once(hub: Hub, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert push(config, folder) == 0
    (commit,) = hub.commits
    assert commit["README.md"] == (folder / "README.md").read_bytes()
    assert (
        b"--push_to_hub --hub_model_id me/words" in commit["README.md"]
    )  # the Trainer's draft has no command
    assert {"model.safetensors", "config.json", "labels.json", "crop.json", "split_card.json"} <= set(commit)
    assert not [name for name in commit if name.startswith("checkpoint-") or name.endswith(".bin")]
    assert not [name for name, content in commit.items() if TOKEN.encode() in content]


def test_a_refused_upload_costs_no_checkpoint(
    hub: Hub, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuses = True
    assert push(config, tmp_path / "run") == 2
    assert (tmp_path / "run" / "split_card.json").is_file()
    assert "hf upload me/words" in capsys.readouterr().err
