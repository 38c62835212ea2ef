"""The one command lists every program, hands its words on and helps with a slip."""

import importlib.util
import sys

import pytest

from inference.commands import SUBCOMMANDS, main


@pytest.fixture(autouse=True)
def same_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spoken-digits"])


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_subcommand_with_a_line(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("usage: spoken-digits")
    for name, row in SUBCOMMANDS.items():
        assert f"{row.summary}" in next(line for line in lines if line.split()[:1] == [name])
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_is_a_module_with_a_main(name: str) -> None:
    module = SUBCOMMANDS[name].module
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.loader is not None
    assert "\ndef main(argv" in spec.loader.get_source(module)


def test_every_program_is_a_subcommand() -> None:
    from tests.test_layers import FILES, module_name

    programs = {
        module_name(path) for path in FILES if "\ndef main(argv: " in path.read_text(encoding="utf-8")
    }
    assert programs - {"inference.commands"} <= {row.module for row in SUBCOMMANDS.values()}


def test_words_are_handed_on_and_the_usage_names_the_subcommand(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: spoken-digits predict ")
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--no-such-option"])
    assert ended.value.code == 2


def test_the_exit_code_is_that_of_the_program(capsys: pytest.CaptureFixture) -> None:
    assert main(["predict", "no-such-file.wav"]) == 1
    assert "no-such-file.wav does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("listne", "did you mean listen"), ("benchmark", "did you mean bench"), ("xyz", "--help lists them")],
)
def test_a_slip_is_answered_with_what_was_meant(
    typed: str, answer: str, capsys: pytest.CaptureFixture
) -> None:
    assert main([typed]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {typed!r} is no sub-command of spoken-digits")
    assert answer in error
