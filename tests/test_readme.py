"""What the README promises: its table, its commands and its paths."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import README_END, README_START, readme_section, with_results
from inference.errors import UserError
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE_RUN = PROJECT / "results" / "fsdd-official"
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
PYTHON_COMMANDS = [c for c in COMMANDS if c.startswith(("python -m", "accelerate")) and "venv" not in c]


def test_table_is_that_of_the_reference_run(tmp_path: Path) -> None:
    import shutil

    from benchmarks.report import write_report

    shutil.copytree(REFERENCE_RUN, tmp_path / "run")
    assert with_results(README, readme_section(write_report(tmp_path / "run"))) == README
    for name in ("summary.csv", "summary.md", "summary.json", "report.html"):
        assert (tmp_path / "run" / name).read_bytes() == (REFERENCE_RUN / name).read_bytes()


def test_document_without_markers_is_refused() -> None:
    with pytest.raises(UserError, match=re.escape(README_START)):
        with_results("text", "table")
    assert (
        with_results(f"a {README_START} old {README_END} b", "new")
        == f"a {README_START}\nnew\n{README_END} b"
    )


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_linked_files_exist(path: str) -> None:
    assert (PROJECT / path).exists()


@pytest.mark.parametrize("command", PYTHON_COMMANDS)
def test_options_of_every_command_are_known(command: str) -> None:
    """Each option of a command stands in the help of its program."""
    words = shlex.split(command)
    if words[:3] == ["accelerate", "launch", "-m"]:
        program = [sys.executable, "-m", words[3]]
    elif words[0] == "accelerate":
        program = [sys.executable, "-m", "finetune.train"]
        words = words[words.index("finetune/train.py") :]
    else:
        program = [sys.executable, "-m", words[2]]
    help_text = subprocess.run(
        [*program, "--help"], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=100
    ).stdout
    options = {word for word in words if word.startswith("--")}
    assert options <= set(re.findall(r"--\w[\w-]*", help_text))
    for word in words:
        if word.startswith("finetune/"):
            assert (PROJECT / word).is_file()


@pytest.mark.parametrize("target", ["benchmark", "test", "setup"])
def test_make_targets_exist(target: str) -> None:
    result = subprocess.run(["make", "-n", target], cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
