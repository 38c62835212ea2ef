"""Accuracy and macro F1: after each epoch, where they choose the best one, and in the benchmark."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from transformers import EvalPrediction


def compute_metrics(prediction: "EvalPrediction") -> dict[str, float]:
    """Accuracy and macro F1 of logits ``(num_clips, num_labels)`` against label ids."""
    references = np.asarray(prediction.label_ids).tolist()
    predictions = np.asarray(prediction.predictions).argmax(axis=-1).tolist()
    return {"accuracy": accuracy(predictions, references), "macro_f1": macro_f1(predictions, references)}


def accuracy(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Share of equal labels."""
    pairs = zip(predictions, references, strict=True)
    return sum(prediction == reference for prediction, reference in pairs) / len(references)


def macro_f1(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Unweighted mean over labels of F1 = 2 TP / (2 TP + FP + FN) (van Rijsbergen, 1979).

    Labels that no reference bears are left out; None as a prediction (no digit) is a miss of its
    reference and no false alarm of any other label.
    """
    pairs = zip(predictions, references, strict=True)
    hits = Counter(reference for prediction, reference in pairs if prediction == reference)
    spoken, answered = Counter(references), Counter(predictions)
    values = [2 * hits[label] / (spoken[label] + answered[label]) for label in spoken]
    return sum(values) / len(values)
