"""A wheel, installed with the core alone and without the sources, recognises a file and listens to one."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # it installs from the package index
SEVEN = PROJECT / "inference" / "app" / "examples" / "seven.flac"


def run(*words: str | Path, folder: Path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy: building leaves its traces in the folder.
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    sources.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, sources)
    for name in ("inference", "finetune", "benchmarks"):
        shutil.copytree(PROJECT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, sources, folder=folder)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def program(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess]:
    """Runs ``spoken-digits`` of an environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    binaries = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    installed = run(binaries / "python", "-m", "pip", "install", wheel, folder=folder)
    assert installed.returncode == 0, installed.stderr
    return lambda *words: run(binaries / "spoken-digits", *words, folder=folder)


def test_the_wheel_holds_what_is_needed_and_no_conversions(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if "/.runtimes/" in name or name.startswith("tests")]
    expected = {
        "inference/py.typed",
        "inference/checkpoints/speech-embedding/model.onnx",
        "inference/checkpoints/wav2vec2/model.safetensors",
        "inference/app/examples/seven.flac",
        "inference/app/live.js",
        "inference/app/microphone.js",
        "inference/app/record.js",
        "finetune/web/index.html",
        "finetune/web/recogniser.js",
        "finetune/configs/wav2vec2-small.yaml",
        "finetune/corpus/training_words.txt",
        "benchmarks/reports/page.html.jinja",
    }
    assert expected <= set(names)


@pytest.mark.parametrize(
    "backend", ["speech-embedding", "mfcc-cnn", "logmel-dscnn", "whisper-encoder", "mfcc", "ensemble"]
)
def test_it_recognises_a_file(program: Callable, backend: str) -> None:
    result = program("predict", SEVEN, "--backend", backend)
    assert result.returncode == 0, result.stderr
    path, digit, _ = result.stdout.split("\t")
    assert path == str(SEVEN)
    assert digit.isdigit()
    assert digit == "7"


def test_it_listens(program: Callable) -> None:
    result = program("listen", "--replay", SEVEN)
    assert (result.returncode, result.stdout.split()) == (0, ["7"]), result.stderr
    strings = program("listen", "--replay", SEVEN, "--string", "--length", "1")
    assert (strings.returncode, strings.stdout.split()) == (0, ["7"]), strings.stderr


def test_it_names_its_version_and_the_extra_of_what_is_missing(program: Callable) -> None:
    assert program("--version").stdout.startswith("spoken-digits ")
    for words, extra in ((["train"], "finetune"), (["serve"], "app"), (["bench", "--plan"], "benchmarks")):
        result = program(*words)
        assert result.returncode == 2
        assert result.stderr.rstrip().endswith(f"pip install 'spoken-digits[{extra}]'")
