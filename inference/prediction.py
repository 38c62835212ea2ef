"""From a model's prediction to the answer that a user is shown.

A closed set of labels has an answer for everything, a cough included. The operating point that travels with
a checkpoint says how sure a model must be: ``calibration.json`` holds the threshold that was chosen on
validation speakers, and the error rates measured there. No other module here decides whether an answer is
shown; ``finetune/web/recogniser.js``, which runs without Python, repeats the rule.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inference.errors import CheckpointError
from inference.vocabulary import vocabulary

#: Keeps quotients and logarithms of vanishing probabilities finite.
LEAST_PROBABILITY = 1e-12
#: ``Prediction.reason`` of an answer for which a cascade asked its large model.
PASSED_ON = "passed_on"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one waveform.

    Attributes:
        label: A label of the vocabulary, or None where the backend gives none.
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
class Answer:
    """What a user is shown.

    Attributes:
        label: A label of the vocabulary, None for a reject.
        reason: Why there is no label: ``low_score`` (the model is not sure enough), ``unknown_class`` (it
            takes the sound for no word of the vocabulary) or the prediction's own reason. None with a label.
        prediction: What it rests on.
        forced: Whether the label would have been rejected if it had not been asked for in any case.
    """

    label: str | None
    reason: str | None
    prediction: Prediction
    forced: bool = False

    @property
    def probabilities(self) -> dict[str, float]:
        """Label -> probability, in the order of the vocabulary; empty where undefined."""
        return dict(zip(vocabulary().labels, self.prediction.probabilities or (), strict=False))

    def top(self, count: int) -> tuple[tuple[str, float], ...]:
        """The most probable labels with their probabilities, best first; empty where undefined."""
        return tuple(sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:count])


@dataclass(frozen=True)
class OperatingPoint:
    """When a prediction is shown.

    Attributes:
        temperature: Divides the model's logits before the softmax (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599); applied by the backend.
        threshold: The lowest confidence that is shown, see ``confidence``. None where none was chosen: then
            all is shown but what a reject class thinks more probable than any label.
        false_reject_rate: Share of validation words refused at this threshold; None if it was not measured.
        false_accept_rate: Share of validation sounds without a word that are shown; None likewise.
        num_digits: Answers to validation words behind the first rate.
        num_others: Answers to other sounds behind the second.
    """

    temperature: float = 1.0
    threshold: float | None = None
    false_reject_rate: float | None = None
    false_accept_rate: float | None = None
    num_digits: int = 0
    num_others: int = 0

    def decide(
        self,
        prediction: Prediction,
        min_score: float | None = None,
        uncalibrated_min_score: float = 0.0,
        force: bool = False,
    ) -> Answer:
        """The answer to show for a prediction.

        Args:
            prediction: What the model says.
            min_score: The user's own lowest score, which takes the place of the threshold; None for that.
            uncalibrated_min_score: The lowest score of a classifier that has neither threshold nor reject
                class, for a sound that may be no speech.
            force: Give the label of a prediction that is rejected, marked as forced.
        """
        reason = self._reason(prediction, min_score, uncalibrated_min_score)
        forced = force and reason is not None and prediction.label is not None
        if reason is None or forced:
            return Answer(prediction.label, None, prediction, forced)
        return Answer(None, reason, prediction)

    def _reason(
        self, prediction: Prediction, min_score: float | None, uncalibrated_min_score: float
    ) -> str | None:
        score, none_probability = prediction.score, prediction.none_probability
        if prediction.label is None:
            return prediction.reason or "unknown_class"
        if score is None:
            return "low_score" if min_score else None
        prefers_none = none_probability is not None and none_probability > score
        if min_score is not None:
            is_sure = score >= min_score and not prefers_none
        elif self.threshold is not None:
            is_sure = confidence(score, none_probability) >= self.threshold
        elif none_probability is not None or prediction.hypothesis is not None:
            # A reject class speaks for itself, and the scores of text recognisers are on other scales.
            is_sure = not prefers_none
        else:
            is_sure = score >= uncalibrated_min_score
        if is_sure:
            return None
        return "unknown_class" if prefers_none else "low_score"


#: The operating point of a checkpoint that brings none.
MOST_PROBABLE = OperatingPoint()


def confidence(score: Any, none_probability: Any) -> Any:
    """What is held against the threshold, of one answer or of arrays of them.

    With a reject class it is the best label's part of what that label and the class share. Doubt between two
    labels lowers the score, and is no sign of a sound that is neither.

    Args:
        score: Probability of the best label.
        none_probability: Probability of the reject class; None of a model without one.
    """
    return score if none_probability is None else score / (score + none_probability + LEAST_PROBABILITY)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True, dtype=np.float64)


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
