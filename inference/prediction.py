"""Whether an answer is shown or refused: the operating point that travels with a checkpoint.

A closed set of labels has an answer for everything, a cough included. ``calibration.json`` holds the
threshold that was chosen on validation speakers, and the error rates measured there.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from inference.checkpoint import read_json
from inference.errors import CheckpointError
from inference.vocabulary import vocabulary

OPERATING_POINT_FILE = "calibration.json"
#: Keeps the quotient of two vanishing probabilities finite.
LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Prediction:
    """One backend's answer for one waveform.

    Attributes:
        label: A label of the vocabulary, or None where the backend gives no digit.
        score: Value for the returned label in [0, 1]; None where the backend has no such value.
        probabilities: One value per label in the order of the vocabulary; None where undefined.
        none_probability: Probability that it is no word of the vocabulary, of a model that was
            trained to tell; the others then sum to the rest. None where undefined.
        hypothesis: The recogniser's raw text; None for classifiers.
        reason: Why ``label`` is None, or which rule mapped the text; None for classifiers.
    """

    label: str | None
    score: float | None = None
    probabilities: tuple[float, ...] | None = None
    none_probability: float | None = None
    hypothesis: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class OperatingPoint:
    """An operating point.

    Attributes:
        temperature: Divides the model's logits before the softmax (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599); applied by the backend.
        threshold: The lowest confidence that is shown, see ``confidence``. None where none was chosen: then
            all is shown but what a reject class thinks more probable than any label.
        false_reject_rate: Share of validation digits refused at this threshold; None if it was not measured.
        false_accept_rate: Share of validation sounds without a digit that are shown; None likewise.
        num_digits: Answers to validation digits behind the first rate.
        num_others: Answers to other sounds behind the second.
    """

    temperature: float
    threshold: float | None
    false_reject_rate: float | None = None
    false_accept_rate: float | None = None
    num_digits: int = 0
    num_others: int = 0

    def reason(self, prediction: Prediction) -> str | None:
        """Why a prediction is refused: ``unknown_class`` or ``low_score``; None if it is shown."""
        if prediction.label is None:
            return "unknown_class"
        if prediction.score is None:
            return None
        none_probability = prediction.none_probability
        prefers_none = none_probability is not None and none_probability > prediction.score
        if self.threshold is None:
            return "unknown_class" if prefers_none else None
        if confidence(prediction.score, none_probability) >= self.threshold:
            return None
        return "unknown_class" if prefers_none else "low_score"


#: The operating point of a checkpoint that brings none.
MOST_PROBABLE = OperatingPoint(temperature=1.0, threshold=None)


def confidence(score: Any, none_probability: Any) -> Any:
    """What is held against the threshold, of one answer or of arrays of them.

    With a reject class it is the best label's part of what that label and the class share. Doubt between two
    labels lowers the score, and is no sign of a sound that is neither.

    Args:
        score: Probability of the best label.
        none_probability: Probability of the reject class; None of a model without one.
    """
    return score if none_probability is None else score / (score + none_probability + LEAST_PROBABILITY)


def read_operating_point(folder: Path) -> OperatingPoint | None:
    """Reads the operating point of a checkpoint; None if it has none.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = folder / OPERATING_POINT_FILE
    if not path.is_file():
        return None
    values = read_json(path)
    names = {field.name for field in fields(OperatingPoint)}
    if not isinstance(values, dict) or set(values) != names:
        raise CheckpointError(
            f"{path} should hold {', '.join(sorted(names))}; calibrate the checkpoint again."
        )
    operating_point = OperatingPoint(**values)
    if not (operating_point.temperature > 0 and 0 <= (operating_point.threshold or 0) <= 1):
        raise CheckpointError(f"{path}: expected a temperature above 0 and a threshold from 0 to 1.")
    return operating_point


def prediction_from_probabilities(probabilities: np.ndarray) -> Prediction:
    """The prediction of a classifier: the most probable label, with its probability as score.

    Args:
        probabilities: One per label, ``(num_labels,)``, or with that of no label at the end.

    Raises:
        CheckpointError: If a probability is NaN or infinite.
    """
    labels = vocabulary().labels
    values = tuple(float(value) for value in probabilities[: len(labels)])
    none_probability = float(probabilities[-1]) if len(probabilities) > len(labels) else None
    if not np.isfinite(probabilities).all():
        raise CheckpointError("the model's probabilities are not finite; its weights are damaged or foreign.")
    best = int(np.argmax(values))
    return Prediction(labels[best], values[best], probabilities=values, none_probability=none_probability)
