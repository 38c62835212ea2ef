"""The table of backends: names with options, and the flags that derive from it."""

import argparse

import numpy as np
import pytest

from inference.backends.table import BACKENDS, BackendSpec, check_options, parse_variant
from inference.command_line import add_backend_arguments, chosen_options
from inference.errors import UserError
from inference.prediction import MOST_PROBABLE, OperatingPoint, Prediction, prediction_from_probabilities
from inference.vocabulary import DIGITS


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


def test_an_eleventh_probability_is_that_of_no_digit() -> None:
    values = np.full(len(DIGITS.labels) + 1, 0.05)
    values[7], values[-1] = 0.2, 0.35
    prediction = prediction_from_probabilities(values)
    assert prediction.label == "7"
    assert prediction.none_probability == pytest.approx(0.35)
    assert prediction.probabilities is not None
    assert len(prediction.probabilities) == len(DIGITS.labels)


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [
        (Prediction("7", 0.9, none_probability=0.05), None),
        (Prediction("7", 0.9), None),
        (Prediction("7", 0.5, none_probability=0.1), None),
        (Prediction("7", 0.5, none_probability=0.2), "low_score"),
        (Prediction("7", 0.3, none_probability=0.6), "unknown_class"),
        (Prediction(None), "unknown_class"),
        (Prediction("7"), None),
    ],
)
def test_doubtful_answers_are_refused_with_a_reason(prediction: Prediction, reason: str | None) -> None:
    assert OperatingPoint(1.0, 0.8, 0.02, 0.05, 100, 100).reason(prediction) == reason


def test_without_a_threshold_only_the_class_itself_refuses() -> None:
    assert MOST_PROBABLE.reason(Prediction("7", 0.3, none_probability=0.29)) is None
    assert MOST_PROBABLE.reason(Prediction("7", 0.3, none_probability=0.31)) == "unknown_class"
    assert MOST_PROBABLE.reason(Prediction("7", 0.01)) is None
