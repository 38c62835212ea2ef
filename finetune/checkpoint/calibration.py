"""The operating point of a checkpoint: temperature and threshold from validation clips.

Written as ``calibration.json`` and applied by whoever shows answers; see ``inference.prediction``.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from inference.checkpoint import OPERATING_POINT_FILE
from inference.files import write_json
from inference.prediction import OperatingPoint, confidence
from inference.vocabulary import vocabulary

#: Share of validation digits that may be refused.
MAX_FALSE_REJECT_RATE = 0.02
MAX_TEMPERATURE = 10.0
#: A limit on false accepts is to hold for sounds of other people too, with this confidence.
CONFIDENCE = 0.95


def calibrate(
    logits: np.ndarray,
    label_ids: np.ndarray,
    other_logits: np.ndarray,
    max_false_accept_rate: float | None = None,
    num_recordings: int | None = None,
) -> OperatingPoint:
    """Chooses the operating point.

    The temperature makes the probabilities of the digits as likely as possible (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599), but never sharper than the model's own. The threshold is the
    highest that refuses no more than ``MAX_FALSE_REJECT_RATE`` of the digits, or the lowest that shows so few
    of the other sounds that their share among all such sounds is at most the given one, with ``CONFIDENCE``
    (the upper limit of Clopper and Pearson 1934, https://doi.org/10.1093/biomet/26.4.404).

    Args:
        logits: Of validation digits, ``(num_digits, num_classes)``: logits or log-probabilities, the
            reject class last if the model has one.
        label_ids: Their labels, ``(num_digits,)``.
        other_logits: Of validation sounds that are no digit, ``(num_others, num_classes)``.
        max_false_accept_rate: Share of other sounds that may be shown; None for the first rule.
        num_recordings: How many sounds differ, where one was altered into several (default: all).
    """
    temperature = fit_temperature(logits, label_ids)
    scores = refusal_scores(logits, temperature)
    other_scores = refusal_scores(other_logits, temperature)
    if max_false_accept_rate is None:
        threshold = float(np.sort(scores)[int(MAX_FALSE_REJECT_RATE * len(scores))])
    else:
        num_recordings = num_recordings or len(other_scores)
        num_tolerated = max_false_accepts(max_false_accept_rate, num_recordings)
        num_shown = num_tolerated * len(other_scores) // num_recordings
        refused = np.sort(other_scores)[: len(other_scores) - num_shown]
        threshold = float(np.nextafter(refused.max(), 2.0)) if refused.size else 0.0
    return OperatingPoint(
        temperature=temperature,
        threshold=threshold,
        false_reject_rate=float(np.mean(scores < threshold)),
        false_accept_rate=float(np.mean(other_scores >= threshold)) if len(other_scores) else 0.0,
        num_digits=len(scores),
        num_others=len(other_scores),
    )


def max_false_accepts(rate: float, num_sounds: int) -> int:
    """The most of so many sounds that may be shown when no more than the share ``rate`` of all shall be.

    Fewer than log(0.05) / log(1 - rate) sounds cannot prove that; none of them is to be shown then.
    """
    number = int(binom.ppf(1 - CONFIDENCE, num_sounds, rate))
    return max(number if binom.cdf(number, num_sounds, rate) <= 1 - CONFIDENCE else number - 1, 0)


def fit_temperature(logits: np.ndarray, label_ids: np.ndarray) -> float:
    """The divisor of the logits, from 1 to ``MAX_TEMPERATURE``, of the least cross-entropy."""

    def cross_entropy(log_temperature: float) -> float:
        chosen = log_softmax(logits / np.exp(log_temperature))[np.arange(len(label_ids)), label_ids]
        return -float(np.mean(chosen))

    best = minimize_scalar(cross_entropy, bounds=(0.0, np.log(MAX_TEMPERATURE)), method="bounded")
    # The search never ends exactly on a bound.
    return 1.0 if cross_entropy(0.0) <= best.fun else float(np.exp(best.x))


def write_calibration(folder: Path, operating_point: OperatingPoint) -> None:
    """Writes ``calibration.json``."""
    write_json(folder / OPERATING_POINT_FILE, asdict(operating_point))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def refusal_scores(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """What the consumers of ``calibration.json`` hold against the threshold, ``(num_clips,)``."""
    probabilities = np.exp(log_softmax(logits / temperature))
    num_labels = len(vocabulary().labels)
    best, none = probabilities[:, :num_labels].max(axis=1), probabilities[:, num_labels:]
    return np.asarray(confidence(best, none[:, 0] if none.size else None))
