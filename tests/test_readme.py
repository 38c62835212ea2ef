"""What README and its kin promise: table, commands, options, files and extras."""

import importlib
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from benchmarks.report import README_END, README_START, readme_section, with_results
from finetune.training.command_line import parse_arguments as parse_training
from inference.commands import SUBCOMMANDS
from inference.errors import UserError
from inference.vocabulary import VARIABLE
from tests.conftest import PROJECT
from tests.test_layers import FILES

README = (PROJECT / "README.md").read_text(encoding="utf-8")
#: What a reader is told to type or open; file -> text.
DOCUMENTS = {
    name: (PROJECT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "inference/README.md",
        "finetune/README.md",
        "benchmarks/README.md",
        "results/README.md",
    )
}
REFERENCE_RUN = PROJECT / "results" / "unheard"
COMMANDS = [
    line.split("#")[0].strip()
    for text in DOCUMENTS.values()
    for block in re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
PROGRAMS = ("python -m", "accelerate", "spoken-digits")
PYTHON_COMMANDS = [
    command
    for line in COMMANDS
    if (command := re.sub(r"^(\w+=\S+ )+", "", line)).startswith(PROGRAMS) and " -m http.server" not in line
]
LINKS = [
    (name, link) for name, text in DOCUMENTS.items() for link in re.findall(r"\]\((?!http)([^)]+)\)", text)
]
#: Program -> where its command line is built, if not in itself.
PARSERS = {
    "benchmarks.live": "benchmarks.live.__main__",
    "benchmarks.against_libraries": "benchmarks.against_libraries.__main__",
    "benchmarks.run": "benchmarks.run.arguments",
    "benchmarks.training_throughput": "benchmarks.training_throughput.__main__",
    "finetune.corpus": "finetune.corpus.__main__",
    "inference.app": "inference.app.__main__",
    "inference.record": "inference.record.__main__",
    "inference.live": "inference.live.arguments",
}


def test_table_is_that_of_the_reference_run(tmp_path: Path) -> None:
    import shutil

    from benchmarks.report import write_report

    shutil.copytree(REFERENCE_RUN, tmp_path / "run")
    assert with_results(README, readme_section(write_report(tmp_path / "run"))) == README
    assert (tmp_path / "run" / "summary.md").read_bytes() == (REFERENCE_RUN / "summary.md").read_bytes()


def test_document_without_markers_is_refused() -> None:
    with pytest.raises(UserError, match=re.escape(README_START)):
        with_results("text", "table")
    assert (
        with_results(f"a {README_START} old {README_END} b", "new")
        == f"a {README_START}\nnew\n{README_END} b"
    )


@pytest.mark.parametrize(("name", "link"), LINKS)
def test_linked_files_and_headings_exist(name: str, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (PROJECT / name).parent / path
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize(
    "path",
    re.findall(
        r"`([\w./-]*/[\w./-]*|[\w.-]+\.(?:py|js|md|toml|json|yml|yaml))`", DOCUMENTS["CONTRIBUTING.md"]
    ),
)
def test_files_that_contributing_walks_through_exist(path: str) -> None:
    assert (PROJECT / path).exists()


def test_the_front_page_is_short() -> None:
    assert len(README.encode()) <= 8500


def test_extras_exist() -> None:
    known = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*DOCUMENTS.values(), *(path.read_text(encoding="utf-8") for path in FILES)]
    texts += [(PROJECT / name).read_text(encoding="utf-8") for name in ("Makefile", "Dockerfile", ".ci/run")]
    named = re.findall(r"(?:spoken-digits|/source|'\.|`\.)\[([a-z0-9,-]+)\]", "\n".join(texts))
    assert len(named) > 10
    assert set(",".join(named).split(",")) <= set(known["optional-dependencies"])


@pytest.fixture
def readers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader types: in the project, beside the files that the text has them write."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "finetune").symlink_to(PROJECT / "finetune")
    (words,) = re.findall(r"```yaml\n(.*?)```", DOCUMENTS["finetune/README.md"], flags=re.DOTALL)
    for name in ("words.yaml", "runs/words/vocabulary.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(words)
    return tmp_path


@pytest.mark.parametrize("command", PYTHON_COMMANDS)
def test_every_command_is_accepted(command: str, readers_folder: Path) -> None:
    """By the parser of its program, options and values alike; the programs' own tests run them."""
    words = shlex.split(command)
    if words[0] == "spoken-digits":
        program, words = SUBCOMMANDS[words[1]].module.removesuffix(".__main__"), words[2:]
    elif "finetune/train.py" in words:
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
