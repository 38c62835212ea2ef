"""What every test may rely on: no network, and recordings where the user has them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: Where weights lie that were fetched before, whichever cache a test is given.
USER_CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))

# Before any library reads it: a test must not depend on the Hub, nor wait for it.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("SPOKEN_DIGITS_OFFLINE", "1")
# Tests share the cores with each other: threads that wait for one another cost ten times what they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples are not timed: a busy machine is no failure.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real FSDD recordings that SPOKEN_DIGITS_DATA names."""
    folder = os.environ.get("SPOKEN_DIGITS_DATA")
    if not folder:
        pytest.skip("needs real recordings: set SPOKEN_DIGITS_DATA to FSDD's folder 'recordings'")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_en() -> Path:
    """The folder of Whisper's real weights tiny.en, fetched once into the user's cache."""
    from inference.weights.fetching import fetch_weights

    return _fetched(lambda: fetch_weights("tiny.en"), "real weights")


@pytest.fixture(scope="session")
def onnxruntime_web() -> Path:
    """The folder of ONNX Runtime for browsers, fetched once into the user's cache."""
    from finetune.web.folder import find_runtime

    return _fetched(find_runtime, "onnxruntime-web")


def _fetched(fetch: Callable[[], Path], what: str) -> Path:
    from inference.errors import BackendUnavailableError

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPOKEN_DIGITS_OFFLINE")
        patch.setenv("XDG_CACHE_HOME", USER_CACHE)
        try:
            return fetch()
        except BackendUnavailableError as error:
            pytest.skip(f"needs {what}: {error.reason}")


@pytest.fixture(scope="session")
def spoken_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of synthetic clips: 4 voices, 7 takes of each digit, in a cache of its own."""
    from finetune.corpus import synthetic
    from inference.files import cache_folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        synthetic.load_synthetic(seed=1, num_voices=4, num_takes=7)
        (folder,) = cache_folder().iterdir()
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where a real browser lies."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def run_module():
    """Runs ``python -m MODULE ARGUMENTS`` in the project's folder and returns the finished process."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess:
        options.setdefault("timeout", 110)
        return subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            **options,
        )

    return run


#: Runs programs one after the other; prints exit code, output and errors of each.
_ONE_BY_ONE = """
import contextlib, io, json, runpy, sys
answers = []
for command in json.loads(sys.argv[1]):
    sys.argv, code = command, 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code or 0
    answers.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""


def run_modules(
    *commands: Sequence[str | Path], prelude: str = "", **environment: str
) -> list[tuple[int, str, str]]:
    """Runs ``python -m MODULE ARGUMENTS`` for each command, all in one process that starts with a prelude."""
    typed = json.dumps([list(map(str, command)) for command in commands])
    result = subprocess.run(
        [sys.executable, "-c", prelude + _ONE_BY_ONE, typed],
        cwd=PROJECT,
        env=environment or None,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return [tuple(answer) for answer in json.loads(result.stdout.splitlines()[-1])]


@contextmanager
def browser_with_microphone(chromium: str, sound: Path) -> Iterator["Browser"]:
    """A real browser whose microphone plays a WAV file again and again."""
    from playwright.sync_api import sync_playwright

    switches = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=switches)
        yield browser
        browser.close()
