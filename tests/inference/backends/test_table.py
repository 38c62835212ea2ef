"""The table of backends: names with options, and the flags that derive from it."""

import argparse

import pytest

from inference.backends.table import BACKENDS, BackendSpec, check_options, parse_variant
from inference.command_line import add_backend_arguments, chosen_options
from inference.errors import UserError


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = BackendSpec("toy", "toy:Toy", "", "a toy", "json", options={"decode": ("free", "narrow")})
    monkeypatch.setitem(BACKENDS, "toy", spec)


@pytest.mark.usefixtures("table")
def test_a_variant_is_a_name_with_options() -> None:
    assert parse_variant("toy") == ("toy", {})
    assert parse_variant("toy:decode=narrow") == ("toy", {"decode": "narrow"})


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tyo", "unknown backend 'tyo'; choose one of: mfcc"),
        ("toy:decode", "expected NAME:OPTION=VALUE"),
        ("toy:", "expected NAME:OPTION=VALUE"),
        ("toy:decode=free,decode=free", "each option once"),
        ("toy:speed=1", "no option 'speed'; it has: decode"),
        ("toy:decode=wide", "choose one of: free, narrow"),
    ],
)
def test_a_wrong_variant_is_answered_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_variant(text)


@pytest.mark.usefixtures("table")
def test_options_become_flags_and_only_typed_ones_are_passed_on() -> None:
    parser = argparse.ArgumentParser()
    add_backend_arguments(parser)
    assert chosen_options(parser.parse_args(["--backend", "toy"])) == {}
    assert chosen_options(parser.parse_args(["--backend", "toy", "--decode", "narrow"])) == {
        "decode": "narrow"
    }
    with pytest.raises(UserError, match="mfcc has no option 'decode'"):
        check_options("mfcc", {"decode": "narrow"})
