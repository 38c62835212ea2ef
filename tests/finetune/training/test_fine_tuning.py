"""One run: steps however they are divided, a class for what is no word, and what arrives at the Hub."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from finetune import train
from finetune.training import data
from inference.backends.table import load_backend
from inference.vocabulary import DIGITS, REJECT_LABEL
from tests.finetune.conftest import TORCH
from tests.finetune.training.test_clip_dataset import MICRO


def test_reject_class_is_trained_calibrated_and_used(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "MIN_NON_WORDS", 12)
    output_dir = tmp_path / "out"
    words = ["--config", str(config), "--output_dir", str(output_dir), "--max_steps", "1"]
    assert train.main([*words, "--reject", "--reject_share", "0.1"]) == 0
    assert json.loads((output_dir / "labels.json").read_text()) == [*DIGITS.labels, REJECT_LABEL]
    backend = load_backend("wav2vec2", str(output_dir), options=TORCH)
    operating_point = backend.operating_point
    assert operating_point is not None
    assert operating_point.num_digits == 2 * 40  # in quiet and in noise
    assert operating_point.num_others == 2 * 12
    figures = json.loads((output_dir / "figures.json").read_text())
    assert figures["validation_false_reject_rate"] == operating_point.false_reject_rate
    assert figures["test_non_words"] == 200 // 4
    assert 0 <= figures["validation_rejection_auc"] <= 1
    (prediction,) = backend.predict([np.zeros(8000, np.float32)])
    assert prediction.label in DIGITS.labels
    assert 0 < prediction.none_probability < 1


#: Without anything random in the network.
STILL = {
    name: 0.0 for name in ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
} | {"final_dropout": 0.0, "layerdrop": 0.0, "apply_spec_augment": False}


@pytest.fixture
def losses_of(config: Path, tmp_path: Path):
    """Trains three steps and returns the loss of each."""
    network = {"model_type": "wav2vec2", "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    (tmp_path / "still.json").write_text(json.dumps(network | MICRO | STILL))

    def losses(name: str, *options: str) -> list[float]:
        words = ["--config", str(config), "--from_config", str(tmp_path / "still.json")]
        words += ["--output_dir", str(tmp_path / name), "--max_steps", "3"]
        words += ["--logging_strategy", "steps", "--logging_steps", "1"]
        assert train.main([*words, *options]) == 0
        history = json.loads((tmp_path / name / "history.json").read_text())
        return [record["loss"] for record in history if "loss" in record]

    return losses


def test_accumulated_and_checkpointed_gradients_take_the_same_steps(losses_of) -> None:
    whole = losses_of("whole", "--per_device_train_batch_size", "8")
    halves = ("--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2")
    assert len(whole) == 3
    assert losses_of("halves", *halves) == pytest.approx(whole, rel=1e-3)
    checkpointed = losses_of("checkpointed", *halves, "--activation_checkpointing", "true")
    assert checkpointed == pytest.approx(whole, rel=1e-3)


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
    monkeypatch.delenv("SPOKEN_DIGITS_OFFLINE")
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
