"""What the README promises: its table, its commands and its paths."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from benchmarks.report import README_END, README_START, readme_section, with_results
from finetune.training.command_line import parse_arguments as parse_training
from inference.errors import UserError
from inference.vocabulary import VARIABLE
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
REFERENCE_RUN = PROJECT / "results" / "fsdd"
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
PYTHON_COMMANDS = [
    command
    for line in COMMANDS
    if (command := re.sub(r"^(\w+=\S+ )+", "", line)).startswith(("python -m", "accelerate"))
]
#: Program -> where its command line is built, if not in itself.
PARSERS = {
    "benchmarks.live": "benchmarks.live.__main__",
    "benchmarks.against_libraries": "benchmarks.against_libraries.__main__",
    "benchmarks.run": "benchmarks.run.arguments",
    "inference.app": "inference.app.__main__",
    "inference.live": "inference.live.arguments",
}


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


@pytest.fixture
def readers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader types: in the project, beside the files that the text has them write."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "finetune").symlink_to(PROJECT / "finetune")
    for name in ("words.yaml", "runs/words/vocabulary.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)[0])
    return tmp_path


@pytest.mark.parametrize("command", PYTHON_COMMANDS)
def test_every_command_is_accepted(command: str, readers_folder: Path) -> None:
    """By the parser of its program, options and values alike; the programs' own tests run them."""
    words = shlex.split(command)
    if "finetune/train.py" in words:
        program, words = "finetune.train", words[words.index("finetune/train.py") + 1 :]
    else:
        place = words.index("-m") + 1
        program, words = words[place], words[place + 1 :]
    if program == "finetune.train":
        parse_training(words)
    else:
        module = importlib.import_module(PARSERS.get(program, program))
        module.build_parser().parse_args(words)


@pytest.mark.parametrize("target", ["benchmark", "test", "setup"])
def test_make_targets_exist(target: str) -> None:
    result = subprocess.run(["make", "-n", target], cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
