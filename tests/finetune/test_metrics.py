"""Metrics against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from transformers import EvalPrediction

from finetune.metrics import (
    accuracy,
    calibration_error,
    compute_metrics,
    evaluation_module,
    macro_f1,
    roc_auc,
)


def draw(seed: int, num_clips: int = 60) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Probabilities with ties, label ids that all occur, and the answers."""
    generator = np.random.default_rng(seed)
    label_ids = np.concatenate([np.arange(4), generator.integers(4, size=num_clips - 4)])
    logits = generator.integers(0, 4, size=(num_clips, 4)) + 2.0 * np.eye(4)[label_ids]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, label_ids, probabilities.argmax(axis=1).tolist()


@given(seed=st.integers(0, 1000))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    probabilities, label_ids, answers = draw(seed)
    references = label_ids.tolist()
    assert accuracy(answers, references) == pytest.approx(sklearn_metrics.accuracy_score(references, answers))
    assert macro_f1(answers, references) == pytest.approx(
        sklearn_metrics.f1_score(references, answers, average="macro", zero_division=0)
    )
    assert roc_auc(probabilities, label_ids) == pytest.approx(
        sklearn_metrics.roc_auc_score(references, probabilities, multi_class="ovr")
    )


def test_calibration_error_by_hand() -> None:
    # Two bins of 15 hold clips: three at 0.9 of which two are right, one at 0.6 that is right.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    expected = (abs(3 * 0.9 - 2) + abs(0.6 - 1)) / 4
    assert calibration_error(probabilities, np.array([0, 0, 1, 1])) == pytest.approx(expected)


def test_a_sure_and_right_model_is_calibrated() -> None:
    assert calibration_error(np.eye(3), np.arange(3)) == 0.0


def test_evaluate_module_needs_no_hub() -> None:
    probabilities, label_ids, answers = draw(0)
    for _ in range(2):  # nothing is left over from an earlier epoch
        results = evaluation_module().compute(predictions=probabilities, references=label_ids)
        assert results == {
            "accuracy": accuracy(answers, label_ids.tolist()),
            "macro_f1": macro_f1(answers, label_ids.tolist()),
        }


def test_digits_alone_are_scored_as_a_closed_set() -> None:
    logits = np.full((2, 11), -1.0)
    logits[:, 10] = 5.0
    logits[0, 3] = logits[1, 4] = 1.0
    assert compute_metrics(EvalPrediction(logits, np.array([3, 4])))["accuracy"] == 1.0
    assert compute_metrics(EvalPrediction(logits, np.array([3, 10])))["accuracy"] == 0.5
