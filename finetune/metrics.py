"""Accuracy, F1, ROC area and calibration: after each epoch, in evaluations and in the benchmark."""

import functools
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from inference.vocabulary import vocabulary

#: Bins of the calibration error, of equal width, open below and closed above.
NUM_BINS = 15

if TYPE_CHECKING:
    from evaluate import EvaluationModule
    from transformers import EvalPrediction


def compute_metrics(prediction: "EvalPrediction") -> dict[str, float]:
    """What the Trainer asks after each epoch: the module of ``evaluation_module`` on its logits."""
    return evaluation_module().compute(predictions=prediction.predictions, references=prediction.label_ids)


@functools.cache
def evaluation_module() -> "EvaluationModule":
    """Accuracy and macro F1 as a module of the ``evaluate`` library, loaded from here and not from the Hub.

    Its predictions are logits or probabilities ``(num_clips, num_classes)``, its references label ids. Where
    all clips are words of the vocabulary a reject class is left out; among other sounds it is an answer too.
    """
    # Imported here: the libraries take seconds, for which who only counts need not wait.
    import datasets
    import evaluate

    class LabelMetrics(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            row, label_id = datasets.List(datasets.Value("float32")), datasets.Value("int64")
            return evaluate.MetricInfo(
                description="Accuracy and macro F1 of the most probable label.",
                citation="",
                features=datasets.Features({"predictions": row, "references": label_id}),
            )

        def _compute(self, predictions: list[list[float]], references: list[int]) -> dict[str, float]:
            num_labels = len(vocabulary().labels)
            rows = np.asarray(predictions)[:, : num_labels if max(references) < num_labels else None]
            answers = rows.argmax(axis=1).tolist()
            return {name: measure(answers, references) for name, measure in LABEL_METRICS.items()}

    # In memory: processes that validate side by side would share a file of the user's cache.
    return LabelMetrics(keep_in_memory=True)


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


#: What the Trainer reports of validation clips beside the loss.
LABEL_METRICS = {"accuracy": accuracy, "macro_f1": macro_f1}


def detection_auc(scores: np.ndarray, other_scores: np.ndarray) -> float:
    """Chance that a word has a higher score than another sound, ties counting half.

    Args:
        scores: Of words of the vocabulary, ``(num_words,)``.
        other_scores: Of what is none, ``(num_others,)``.
    """
    from sklearn.metrics import roc_auc_score

    is_word = np.repeat([1, 0], [len(scores), len(other_scores)])
    return float(roc_auc_score(is_word, np.concatenate([scores, other_scores])))


def roc_auc(probabilities: np.ndarray, label_ids: np.ndarray) -> float:
    """Area under the ROC curve, each label against the rest, unweighted mean over labels.

    Args:
        probabilities: Shape ``(num_clips, num_labels)``.
        label_ids: Shape ``(num_clips,)``; labels that never or always occur are left out.
    """
    from sklearn.metrics import roc_auc_score

    ids = [label_id for label_id in np.unique(label_ids) if (label_ids != label_id).any()]
    areas = [roc_auc_score(label_ids == label_id, probabilities[:, label_id]) for label_id in ids]
    return float(np.mean(areas)) if areas else float("nan")


def calibration_error(probabilities: np.ndarray, label_ids: np.ndarray) -> float:
    """Expected calibration error of the best label (Guo et al. 2017, https://arxiv.org/abs/1706.04599).

    Args:
        probabilities: Shape ``(num_clips, num_labels)``.
        label_ids: Shape ``(num_clips,)``.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == label_ids
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    surplus = np.bincount(bins, weights=confidence - correct, minlength=NUM_BINS)
    return float(np.abs(surplus).sum() / len(label_ids))
