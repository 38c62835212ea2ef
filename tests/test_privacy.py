"""Nothing phones home: no file outside the project's own folders, no name looked up, no connection."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from inference.app.page import EXAMPLES
from inference.backends.encoder.trial import CACHE_NAME
from inference.backends.table import BACKENDS
from inference.command_line import EXIT_INTERRUPTED
from tests.conftest import PROJECT

CLIP = EXAMPLES / "seven.flac"
#: Command -> what it does in a home that holds nothing.
COMMANDS = {
    "predict": ["-m", "inference.predict", str(CLIP)],
    "replay": ["-m", "inference.live", "--replay", str(CLIP)],
    "conversion": ["-m", "inference.predict", str(CLIP), "--backend", "wav2vec2", "--checkpoint", "{copy}"],
    "page": ["-m", "inference.app", "--port", "0"],
    "training": ["-c", "import finetune.train, datasets, evaluate, onnxruntime, transformers"],
}


def ask_server(process: subprocess.Popen[str]) -> int:
    """Asks what a visitor and a program ask, ends the server by Ctrl-C and returns the code of that."""
    assert process.stderr is not None
    address = re.search(r"http://[^ ]*:\d+", process.stderr.readline())
    assert address, process.stderr.read()
    for path, body in (("/health", None), ("/", None), ("/predict", CLIP.read_bytes())):
        with urllib.request.urlopen(f"{address[0]}{path}", body, timeout=300) as response:
            assert response.status == 200
    (server,) = psutil.Process(process.pid).children()
    server.send_signal(signal.SIGINT)
    return EXIT_INTERRUPTED


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
    traced = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect", "-o", str(log), *command]
    environment = {**kept, "HOME": str(home)}
    with subprocess.Popen(
        traced, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        expected = ask_server(process) if name == "page" else 0
        _, errors = process.communicate()
    assert process.returncode == expected, errors
    # Sockets of this machine, such as that of a name service cache, are no network.
    outside = [line for line in log.read_text().splitlines() if "AF_INET" in line]
    assert not outside
    written = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert written <= {(".cache", "spoken-digits")}
