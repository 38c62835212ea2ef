"""The notebook, from the first cell to the last."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

NOTEBOOK = PROJECT / "finetune" / "examples" / "from_recordings_to_decision.ipynb"


def cells(kind: str) -> list[str]:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == kind]


def test_the_notebook_is_committed_without_outputs() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in document["cells"])
    assert len(cells("markdown")) >= 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_cells_run_from_data_to_a_decision(tmp_path: Path) -> None:
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cells("code")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Ship **" in done.stdout
    assert "pass" in done.stdout
