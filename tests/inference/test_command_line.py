"""What every command shares: its streams, whatever they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT


def run_in_shell(arguments: str, redirections: str, **environment: str) -> subprocess.CompletedProcess:
    command = f"exec '{sys.executable}' -m {arguments} {redirections}"
    environment = {"PYTHONPATH": str(PROJECT), **environment}
    return subprocess.run(
        ["bash", "-c", command], cwd=PROJECT, capture_output=True, timeout=110, env=environment
    )


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("module", ["inference.predict", "inference.live --replay"])
def test_a_service_need_not_have_streams(tmp_path: Path, redirections: str, module: str) -> None:
    """Neither a traceback, nor the text of an error among the answers."""
    result = run_in_shell(f"{module} '{tmp_path / 'none.wav'}' --backend mfcc", redirections)
    assert result.returncode == (2 if "live" in module else 1)
    assert b"Traceback" not in result.stderr
    assert b"none.wav" not in result.stdout
    assert (b"does not exist" in result.stderr) == ("2" not in redirections)


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "\u4e03.wav").write_text("no sound")
    result = run_in_shell(f"inference.predict '{tmp_path}' --backend mfcc", "", PYTHONIOENCODING="cp1252")
    assert result.returncode == 1
    assert b"\\u4e03.wav" in result.stderr
    assert b"Traceback" not in result.stderr
