"""Backends from outside the package: a file, a module, an installed entry point."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.backends.table import BACKENDS, ENTRY_POINT_GROUP, load_backend, register_backends
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
def _own_table() -> Iterator[None]:
    original = dict(BACKENDS)
    yield
    BACKENDS.clear()
    BACKENDS.update(original)


@pytest.fixture
def seven(tmp_path: Path) -> Path:
    path = tmp_path / "seven_backend.py"
    path.write_text(MODULE.format(name="seven"))
    return path


def test_a_file_becomes_a_row(seven: Path) -> None:
    register_backends([str(seven)])
    assert load_backend("seven").predict([None])[0].label == "7"
    register_backends([str(seven)])  # the same row again is no conflict


def test_an_entry_point_becomes_a_row(seven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(seven.parent))
    entry_point = importlib.metadata.EntryPoint("seven", "seven_backend:BACKEND", ENTRY_POINT_GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry_point])
    register_backends()
    assert BACKENDS["seven"].summary == "always seven"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "offers no backend"),
        ("BACKEND = 7", "expected a BackendSpec"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("def", "invalid syntax|expected"),
        (MODULE.format(name="mfcc"), "the name mfcc is taken"),
    ],
)
def test_what_is_no_row_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / f"module_{abs(hash(text))}.py"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        register_backends([str(path)])
    with pytest.raises(UserError, match="offers no backend"):
        register_backends([str(tmp_path / "missing.py")])


def test_the_file_command_takes_one(run_module, seven: Path, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "clip.wav", np.full(8000, 0.1), 16000)
    result = run_module(
        "inference.predict", tmp_path / "clip.wav", "--backend-module", seven, "--backend", "seven"
    )
    assert result.returncode == 0, result.stderr
    assert "\t7" in result.stdout or " 7" in result.stdout
