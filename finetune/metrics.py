"""Figures that are printed after each epoch and choose the best one."""

import numpy as np
from transformers import EvalPrediction

from inference.labels import LABELS


def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Accuracy and macro F1 of logits ``(num_clips, num_labels)`` against label ids."""
    label_ids = np.asarray(prediction.label_ids)
    predicted = np.asarray(prediction.predictions).argmax(axis=-1)
    return {"accuracy": accuracy(predicted, label_ids), "macro_f1": macro_f1(predicted, label_ids)}


def accuracy(predicted: np.ndarray, references: np.ndarray) -> float:
    """Share of equal ids."""
    return float((predicted == references).mean())


def macro_f1(predicted: np.ndarray, references: np.ndarray) -> float:
    """Unweighted mean over the labels that occur of ``2 TP / (2 TP + FP + FN)``."""
    scores = []
    for label_id in range(len(LABELS)):
        hits = int(((predicted == label_id) & (references == label_id)).sum())
        total = int((predicted == label_id).sum() + (references == label_id).sum())
        if total:
            scores.append(2 * hits / total)
    return float(np.mean(scores))
