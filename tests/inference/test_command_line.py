"""What every command shares: one style of options, and its streams, whatever they are."""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.training.command_line import parse_arguments, underscored
from inference.command_line import CommandLineParser, shareable_command
from inference.commands import SUBCOMMANDS
from tests.conftest import PROJECT

#: Program -> where its command line is built, if not in itself.
PARSERS = {
    "benchmarks.run.__main__": "benchmarks.run.arguments",
    "inference.live.__main__": "inference.live.arguments",
}


def parser_of(module: str) -> argparse.ArgumentParser:
    return importlib.import_module(PARSERS.get(module, module)).build_parser()


@pytest.mark.parametrize("name", sorted(set(SUBCOMMANDS) - {"train"}))
def test_options_are_spelled_with_hyphens(name: str) -> None:
    parser = parser_of(SUBCOMMANDS[name].module)
    assert isinstance(parser, CommandLineParser)
    options = [option for action in parser._actions for option in action.option_strings]
    assert not [option for option in options if "_" in option or option in ("--output", "--output-dir")]


def test_underscores_are_understood() -> None:
    parser = CommandLineParser()
    parser.add_argument("--min-score", type=float)
    parser.add_argument("--kept_as_is")
    parser.add_argument("words", nargs="*")
    assert parser.parse_args(["--min_score=0.5"]).min_score == 0.5
    assert parser.parse_args(["--kept_as_is", "x_y"]).kept_as_is == "x_y"
    assert parser.parse_args(["--", "--min_score"]).words == ["--min_score"]


def test_an_unknown_option_is_still_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        CommandLineParser().parse_args(["--no_such", "x"])
    assert "--no-such" in capsys.readouterr().err


def test_the_trainer_takes_both_spellings_and_out() -> None:
    words = [
        "--learning-rate",
        "1e-3",
        "--out=runs/x-y",
        "--load_best_model_at_end",
        "false",
        "--model",
        "a-b",
    ]
    arguments = parse_arguments(words)
    assert (arguments.training.output_dir, arguments.training.learning_rate) == ("runs/x-y", 1e-3)
    # A secret is recognised however it was spelled, and kept out of the card.
    assert underscored(["--hub-token", "se-cret"]) == ["--hub_token", "se-cret"]


def run_in_shell(arguments: str, redirections: str, **environment: str) -> subprocess.CompletedProcess:
    command = f"exec '{sys.executable}' -m {arguments} {redirections}"
    environment = {"PYTHONPATH": str(PROJECT), **environment}
    return subprocess.run(
        ["bash", "-c", command], cwd=PROJECT, capture_output=True, timeout=300, env=environment
    )


@pytest.mark.parametrize(
    ("module", "redirections"),
    [
        ("inference.predict", ">&-"),
        ("inference.predict", "2>&-"),
        ("inference.live --replay", "<&- >&- 2>&-"),
    ],
)
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


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("/home/anna/recordings", "<recordings>"),
        ("mfcc=/home/anna/runs/mine", "mfcc=<mine>"),
        ("external:/data/unheard", "external:<unheard>"),
        ("--out=/tmp/x", "--out=<x>"),
        ("whisper:decode=free,window=short", "whisper:decode=free,window=short"),
        ("wav2vec2=runs/mine", "wav2vec2=runs/mine"),
        ("two words", "'two words'"),
    ],
)
def test_a_command_for_others_does_not_say_where_folders_lie(word, shown):
    assert shareable_command("python", word) == f"python {shown}"
