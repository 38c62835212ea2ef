from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from finetune.checkpoint.calibration import (
    MAX_FALSE_REJECT_RATE,
    calibrate,
    fit_temperature,
    log_softmax,
    max_false_accepts,
    write_calibration,
)
from inference.checkpoint import OPERATING_POINT_FILE, read_operating_point
from inference.errors import CheckpointError
from inference.prediction import OperatingPoint, prediction_from_probabilities


def draw(seed: int, num_digits: int, sharpness: float, num_classes: int = 11):
    """Logits whose labels were drawn from their own softmax, multiplied by ``sharpness`` afterwards."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.standard_normal((num_digits, 10))
    probabilities = np.exp(log_softmax(logits))
    label_ids = (probabilities.cumsum(axis=1) > generator.random((num_digits, 1))).argmax(axis=1)
    if num_classes == 11:
        logits = np.hstack([logits, np.full((num_digits, 1), -30.0)])
    return logits * sharpness, label_ids


@pytest.mark.parametrize("sharpness", [1.5, 3.0])
def test_an_overconfident_model_is_tempered(sharpness: float) -> None:
    assert fit_temperature(*draw(0, 5000, sharpness)) == pytest.approx(sharpness, rel=0.1)


def test_a_temperature_never_sharpens() -> None:
    assert fit_temperature(*draw(0, 1000, 0.3)) == 1.0


@given(seed=st.integers(0, 100), num_digits=st.integers(1, 300), rate=st.sampled_from([0.0, 0.02, 0.1]))
def test_no_more_is_wrong_than_allowed(seed: int, num_digits: int, rate: float) -> None:
    logits, label_ids = draw(seed, num_digits, 1.0)
    others = np.random.default_rng(seed).standard_normal((50, 11))
    assert calibrate(logits, label_ids, others).false_reject_rate <= MAX_FALSE_REJECT_RATE
    operating_point = calibrate(logits, label_ids, others, rate)
    assert operating_point.false_accept_rate == (0.02 if rate == 0.1 else 0.0)  # of 50, see the next test
    assert 0.0 <= operating_point.threshold <= 1.0
    assert (operating_point.num_digits, operating_point.num_others) == (num_digits, 50)


@pytest.mark.parametrize(
    ("rate", "num_sounds", "tolerated"),
    [(0.05, 58, 0), (0.05, 59, 0), (0.05, 184, 4), (0.1, 50, 1), (0.0, 9, 0)],
)
def test_a_limit_on_false_accepts_holds_with_confidence(rate: float, num_sounds: int, tolerated: int) -> None:
    assert max_false_accepts(rate, num_sounds) == tolerated
    if tolerated:
        upper_limits = [
            beta.ppf(0.95, number + 1, num_sounds - number) for number in (tolerated, tolerated + 1)
        ]
        assert upper_limits[0] <= rate < upper_limits[1]


def test_a_sound_counts_once_however_often_it_was_altered() -> None:
    logits, label_ids = draw(0, 200, 1.0)
    others = np.random.default_rng(0).standard_normal((100, 11))
    twice = np.vstack([others, others])
    once, again = (
        calibrate(logits, label_ids, sounds, 0.1, num_recordings=100) for sounds in (others, twice)
    )
    assert once.threshold == again.threshold


@pytest.mark.parametrize("num_classes", [10, 11])
def test_rates_are_what_the_consumers_of_the_file_see(tmp_path: Path, num_classes: int) -> None:
    logits, label_ids = draw(3, 200, 2.0, num_classes)
    others = np.random.default_rng(1).standard_normal((80, num_classes)) * 3
    write_calibration(tmp_path, calibrate(logits, label_ids, others))
    operating_point = read_operating_point(tmp_path)
    assert operating_point is not None
    for rows, expected in (
        (logits, operating_point.false_reject_rate),
        (others, 1 - operating_point.false_accept_rate),
    ):
        probabilities = np.exp(log_softmax(rows / operating_point.temperature))
        reasons = [operating_point.decide(prediction_from_probabilities(row)).reason for row in probabilities]
        assert np.mean([reason is not None for reason in reasons]) == pytest.approx(expected)


def test_a_reject_class_that_refuses_too_much_is_held_back() -> None:
    """The threshold may lie below even odds: a class that takes digits is believed only when it is sure."""
    logits, label_ids = draw(3, 100, 2.0)
    logits[:30, 10] = logits[:30, :10].max(axis=1) + 1.0
    operating_point = calibrate(logits, label_ids, np.zeros((0, 11)))
    assert 0.0 < operating_point.threshold < 0.5
    assert operating_point.false_reject_rate <= 0.02


def test_doubt_between_two_digits_is_no_sign_of_another_word() -> None:
    torn, foreign = (
        prediction_from_probabilities(np.array(row))
        for row in ([0.5, 0.45] + [0.0] * 8 + [0.05], [0.5] + [0.0] * 9 + [0.5])
    )
    operating_point = OperatingPoint(temperature=1.0, threshold=0.7)
    assert operating_point.decide(torn).reason is None
    assert operating_point.decide(foreign).reason == "low_score"


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / OPERATING_POINT_FILE).write_text('{"threshold": 0.5}')
    with pytest.raises(CheckpointError, match="calibrate the checkpoint again"):
        read_operating_point(tmp_path)
