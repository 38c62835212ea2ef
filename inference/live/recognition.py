"""From an utterance to its one answer: a digit, or a reject with the reason."""

import contextlib
import logging

import numpy as np

from inference.audio import SAMPLING_RATE, check_waveform
from inference.backends.base import Backend
from inference.errors import UserError
from inference.live.engine.events import Answer, Utterance
from inference.prediction import MOST_PROBABLE, Prediction
from inference.vocabulary import vocabulary

logger = logging.getLogger(__name__)

TOP = 3
#: A backend may stumble over one utterance; one that fails this often in a row is broken.
MAX_FAILURES = 3


class BackendFailedError(UserError):
    """The backend failed on several utterances in a row."""


class Recogniser:
    """Asks the backend and applies the rules for rejecting.

    Args:
        backend: Any backend of the table.
        name: Its name, for the records.
        min_score: Digits scored lower are rejected as ``low_score``, whatever was calibrated with the
            checkpoint; None for what was. A classifier without either is to be as sure as the utterance asks.
        force_emit: Give the best digit where the backend's answer would be rejected, marked as forced.
    """

    def __init__(self, backend: Backend, name: str, min_score: float | None = None, force_emit: bool = False):
        self._backend = backend
        self._name = name
        calibrated = backend.operating_point if min_score is None else None
        self._operating_point = calibrated or MOST_PROBABLE
        self._min_score = min_score
        self._heeds_detector = calibrated is None and min_score is None
        self._force_emit = force_emit
        self._failures = 0

    def warm_up(self) -> None:
        """Has the backend recognise silence, so that the first word need not wait for caches to fill."""
        # A backend that fails here will fail, and be reported, at the first word.
        with contextlib.suppress(Exception):
            self._backend.predict([np.zeros(SAMPLING_RATE // 2, np.float32)])

    def answer(self, utterance: Utterance) -> Answer:
        """The final answer, still without latency.

        Raises:
            BackendFailedError: If the backend raised on ``MAX_FAILURES`` utterances in a row.
        """
        if utterance.reason:
            return self._build(utterance, None, utterance.reason)
        try:
            prediction = self._backend.predict([check_waveform(utterance.waveform)])[0]
        except Exception as error:  # a backend is foreign code, and the next word deserves its chance
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                raise BackendFailedError(
                    f"backend {self._name} failed {MAX_FAILURES} times in a row, last with: {error!r}"
                ) from error
            logger.warning("backend %s failed on utterance %d: %r", self._name, utterance.id, error)
            return self._build(utterance, None, "backend_error")
        self._failures = 0
        reason = self._operating_point.reason(prediction)
        if reason is None and (prediction.score or 0.0) < (self._min_score or 0.0):
            reason = "low_score"
        if reason is None and self._heeds_detector and _is_doubtful(prediction, utterance.least_score):
            reason = "low_score"
        return self._build(utterance, prediction, reason)

    def _build(self, utterance: Utterance, prediction: Prediction | None, reason: str | None) -> Answer:
        best = prediction.label if prediction else None
        forced = self._force_emit and reason is not None and best is not None
        label = best if reason is None or forced else None
        return Answer(
            id=utterance.id,
            digit=None if label is None else vocabulary().symbol(label),
            score=prediction.score if prediction else None,
            top=_best(prediction.probabilities) if prediction and prediction.probabilities else (),
            reason=None if forced else reason,
            forced=forced,
            hypothesis=prediction.hypothesis if prediction else None,
            start=utterance.start,
            end=utterance.end,
            latency_ms={},
            backend=self._name,
        )


def _is_doubtful(prediction: Prediction, least_score: float) -> bool:
    """Whether a classifier is less sure than asked; the scores of text recognisers are on other scales."""
    is_classifier = prediction.hypothesis is None and prediction.score is not None
    return is_classifier and (prediction.score or 0.0) < least_score


def _best(probabilities: tuple[float, ...]) -> tuple[tuple[int | str, float], ...]:
    """The ``TOP`` most probable digits, best first."""
    words = vocabulary()
    pairs = sorted(zip(probabilities, words.labels, strict=True), reverse=True)[:TOP]
    return tuple((words.symbol(label), probability) for probability, label in pairs)
