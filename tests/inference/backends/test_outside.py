"""Backends from outside the package: a file, a module, an installed entry point."""

import importlib.metadata
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from inference.backends.outside import ENTRY_POINT_GROUP, VARIABLE, OpenTable, use_backend_modules
from inference.backends.table import BACKENDS, BackendSpec, backend_class, load_backend
from inference.errors import UserError

MODULE = '''
from inference.backends.table import BackendSpec
from inference.backends.base import Backend
from inference.prediction import Prediction

class Seven(Backend):
    """Hears sevens."""
    @classmethod
    def load(cls, checkpoint, threads=1):
        return cls()
    def predict(self, waveforms):
        return [Prediction("7", score=1.0) for _ in waveforms]

BACKEND = BackendSpec("{name}", f"{{__file__}}:Seven", "none", "always seven", "numpy")
'''


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    path = tmp_path / "seven_backend.py"
    path.write_text(MODULE.format(name="seven"))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "clip.wav", np.full(8000, 0.1), 16000)
    return tmp_path / "clip.wav"


def test_a_file_becomes_a_row_when_the_table_is_read(seven: Path) -> None:
    table = OpenTable(BackendSpec, BACKENDS.values())
    use_backend_modules([str(seven)])
    assert backend_class(table["seven"])().predict([None])[0].label == "7"
    use_backend_modules([str(seven)])  # the same row again is no conflict
    assert list(table).count("seven") == 1
    assert os.environ[VARIABLE] == str(seven)


def test_an_entry_point_becomes_a_row(seven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(seven.parent))
    entry_point = importlib.metadata.EntryPoint("seven", "seven_backend:BACKEND", ENTRY_POINT_GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry_point])
    assert OpenTable(BackendSpec, [])["seven"].summary == "always seven"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "offers no backend"),
        ("1 / 0", "offers no backend: division by zero"),
        ("BACKEND = 7", "expected a BackendSpec"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("def", "invalid syntax|expected"),
        (MODULE.format(name="mfcc"), "the name mfcc is taken"),
    ],
)
def test_what_is_no_row_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / f"module_{abs(hash(text))}.py"
    path.write_text(text)
    table = OpenTable(BackendSpec, [BACKENDS["mfcc"]])
    use_backend_modules([str(path)])
    for _ in range(2):  # it does not pass the second time either
        with pytest.raises(UserError, match=message):
            list(table)


def test_a_class_that_is_not_there_is_a_mistake_of_its_row(seven: Path) -> None:
    seven.write_text(seven.read_text().replace(":Seven", ":Eight"))
    use_backend_modules([str(seven)])
    try:
        with pytest.raises(UserError, match="Eight"):
            load_backend("seven")
    finally:
        del BACKENDS["seven"]


@pytest.mark.parametrize("module", ["inference.predict", "inference.live", "inference.app", "benchmarks.run"])
def test_every_command_that_offers_the_option_uses_it(run_module: Callable, seven: Path, module: str) -> None:
    result = run_module(module, "--backend-module", seven, "--help")
    assert result.returncode == 0, result.stderr
    assert "seven" in result.stdout.replace("seven_backend", "")


def test_a_file_that_is_not_there_is_a_mistake_of_usage(run_module: Callable, tmp_path: Path) -> None:
    missing = run_module("inference.app", "--backend-module", tmp_path / "missing.py", "--help")
    assert missing.returncode == 2
    assert "missing.py offers no backend" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_the_file_command_takes_one(run_module: Callable, seven: Path, clip: Path) -> None:
    result = run_module(
        "inference.predict", clip, f"--backend-module={seven}", "--backend", "seven", "--json"
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["label"] == "7"


def test_an_ensemble_of_a_child_process_may_name_one(run_module: Callable, seven: Path, clip: Path) -> None:
    environment = {**os.environ, VARIABLE: str(seven)}
    result = run_module(
        "inference.predict", clip, "--backend", "ensemble", "--checkpoint", "mfcc+seven", env=environment
    )
    assert "need members that give a probability per label" in result.stderr
