"""Nothing phones home: no file outside the project's own folders, no name looked up, no connection."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inference.app.page import EXAMPLES
from inference.backends.encoder.trial import CACHE_NAME
from inference.backends.table import BACKENDS
from tests.conftest import PROJECT

CLIP = EXAMPLES / "seven.flac"
#: Command -> what it does in a home that holds nothing.
COMMANDS = {
    "predict": ["-m", "inference.predict", str(CLIP)],
    "replay": ["-m", "inference.live", "--replay", str(CLIP)],
    "conversion": ["-m", "inference.predict", str(CLIP), "--backend", "wav2vec2", "--checkpoint", "{copy}"],
    "page": [
        "-c",
        "from inference.app.server import build_server\nimport onnxruntime\n",
    ],
    "training": ["-c", "import finetune.train, datasets, evaluate, onnxruntime, transformers"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_reported_to_anybody(name: str, tmp_path: Path) -> None:
    if sys.platform != "linux" or not shutil.which("strace"):
        pytest.skip("needs Linux and strace to see every connection")
    home, log = tmp_path / "home", tmp_path / "connections"
    home.mkdir()
    copy = tmp_path / "checkpoint"
    shutil.copytree(BACKENDS["wav2vec2"].default_checkpoint, copy, ignore=shutil.ignore_patterns(CACHE_NAME))
    command = [sys.executable, *(word.replace("{copy}", str(copy)) for word in COMMANDS[name])]
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH", "LANG")}
    subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect", "-o", log, *command],
        cwd=PROJECT,
        env={**kept, "HOME": str(home)},
        check=True,
        capture_output=True,
    )
    # Sockets of this machine, such as that of a name service cache, are no network.
    outside = [line for line in log.read_text().splitlines() if "AF_INET" in line]
    assert not outside
    written = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert written <= {(".cache", "spoken-digits")}
