"""The application as a user starts it: a process of its own on a free port."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inference.app import __file__ as APP
from tests.conftest import PROJECT

EXAMPLES = Path(APP).parent / "examples"


def documented(beginning: str) -> str:
    """The Python example of the README that begins so."""
    text = (PROJECT / "inference" / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (example,) = (example for example in examples if example.startswith(beginning))
    return example


@dataclass(frozen=True)
class Server:
    """A running application."""

    url: str
    port: int
    process: subprocess.Popen
    log: Path


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    running: list[subprocess.Popen] = []

    def start(*options: str, **environment: str) -> Server:
        log = tmp_path_factory.mktemp("app") / "log"
        command = [sys.executable, "-m", "inference.app", "--port", "0", *options]
        with log.open("w") as stderr:
            process = subprocess.Popen(command, cwd=PROJECT, stderr=stderr, env=os.environ | environment)
        running.append(process)
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and process.poll() is None:
            if found := re.search(r"http://[^ ]*:(\d+)/", log.read_text()):
                return Server(found.group(0).rstrip("/"), int(found.group(1)), process, log)
            time.sleep(0.05)
        raise AssertionError(log.read_text())

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(timeout=300)


@pytest.fixture(scope="session")
def server(start_server: Callable[..., Server]) -> Server:
    return start_server("--max-mb", "1", "--max-seconds", "5")


@pytest.fixture(scope="session")
def guarded(start_server: Callable[..., Server]) -> Server:
    """One that asks for credentials, and bears one stream at a time."""
    return start_server("--max-waiting", "1", SPOKEN_DIGITS_AUTH="anna:s3cret:with colon")
