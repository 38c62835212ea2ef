import json
import os
from pathlib import Path

import pytest

from tests.conftest import PROJECT


@pytest.fixture
def fake_sound(monkeypatch, tmp_path):
    """Puts the fake sound library in front of the real one; takes one behaviour per opening."""

    def install(*behaviours: dict):
        (tmp_path / "plan.json").write_text(json.dumps(behaviours or [{}]))
        monkeypatch.setenv("FAKE_SOUND", str(tmp_path))
        folder = str(Path(__file__).parent / "fake_sound")
        monkeypatch.syspath_prepend(folder)
        # For tests that start a whole new interpreter.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, str(PROJECT)]))

    return install
