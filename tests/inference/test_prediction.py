"""From a prediction to the answer that is shown."""

import numpy as np
import pytest

from inference.prediction import MOST_PROBABLE, OperatingPoint, Prediction, prediction_from_probabilities
from inference.vocabulary import DIGITS

STRICT = OperatingPoint(threshold=0.8)


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
        (Prediction(None, 0.9, hypothesis="eleven", reason="not_single_digit"), "not_single_digit"),
        (Prediction("7"), None),
    ],
)
def test_doubtful_answers_are_refused_with_a_reason(prediction: Prediction, reason: str | None) -> None:
    answer = OperatingPoint(1.0, 0.8, 0.02, 0.05, 100, 100).decide(prediction)
    assert (answer.label, answer.reason) == ("7" if reason is None else None, reason)
    assert answer.prediction is prediction


def test_without_a_threshold_only_the_class_itself_refuses() -> None:
    assert MOST_PROBABLE.decide(Prediction("7", 0.3, none_probability=0.29)).reason is None
    assert MOST_PROBABLE.decide(Prediction("7", 0.3, none_probability=0.31)).reason == "unknown_class"
    assert MOST_PROBABLE.decide(Prediction("7", 0.01)).reason is None


def test_a_user_s_own_lowest_score_takes_the_place_of_the_threshold() -> None:
    assert STRICT.decide(Prediction("7", 0.5)).reason == "low_score"
    assert STRICT.decide(Prediction("7", 0.5), min_score=0.4).label == "7"
    assert STRICT.decide(Prediction("7", 0.9), min_score=0.95).reason == "low_score"
    assert STRICT.decide(Prediction("7", 0.9), min_score=0.0).label == "7"
    assert STRICT.decide(Prediction("7", 0.4, none_probability=0.6), min_score=0.0).reason == "unknown_class"
    assert STRICT.decide(Prediction("7"), min_score=0.1).reason == "low_score"


@pytest.mark.parametrize(
    ("prediction", "point", "reason"),
    [
        (Prediction("7", 0.5), MOST_PROBABLE, "low_score"),
        (Prediction("7", 0.7), MOST_PROBABLE, None),
        (Prediction("7", 0.9), STRICT, None),
        (Prediction("7", 0.5, none_probability=0.1), MOST_PROBABLE, None),
        (Prediction("7", 0.5, hypothesis="seven"), MOST_PROBABLE, None),
        (Prediction("7"), MOST_PROBABLE, None),
    ],
    ids=["doubtful", "sure", "calibrated", "reject class", "text", "without a score"],
)
def test_what_may_be_no_speech_asks_more_of_an_uncalibrated_classifier_only(
    prediction: Prediction, point: OperatingPoint, reason: str | None
) -> None:
    assert point.decide(prediction, uncalibrated_min_score=0.6).reason == reason


def test_a_forced_answer_is_marked_and_one_without_a_label_stays_a_reject() -> None:
    forced = STRICT.decide(Prediction("7", 0.5), force=True)
    assert (forced.label, forced.reason, forced.forced) == ("7", None, True)
    assert STRICT.decide(Prediction("7", 0.9), force=True).forced is False
    nothing = STRICT.decide(Prediction(None, reason="too_short"), force=True)
    assert (nothing.label, nothing.reason, nothing.forced) == (None, "too_short", False)


def test_the_most_probable_labels_come_first() -> None:
    values = np.full(len(DIGITS.labels), 0.05)
    values[[3, 7]] = 0.4, 0.2
    answer = MOST_PROBABLE.decide(prediction_from_probabilities(values))
    assert answer.top(2) == (("3", 0.4), ("7", 0.2))
    assert MOST_PROBABLE.decide(Prediction("7", 0.9)).top(3) == ()
