"""The tour, from the first cell to the last."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT


@pytest.mark.timeout(600)
def test_the_tour_runs_from_data_to_a_scored_replay(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.tour", str(tmp_path)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=590)
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / "results" / "summary.md").is_file()
    assert "8 labelled digits: " in result.stderr  # the score of the replay
