"""What a backend makes of a stream: the engine that cuts its utterances, and their answers."""

import contextlib
import logging

import numpy as np

from inference.audio import SAMPLING_RATE, check_waveform
from inference.backends.base import Backend
from inference.errors import UserError
from inference.live.engine.endpointing import PROFILES, EndpointSettings
from inference.live.engine.events import TOP, Utterance, Word
from inference.live.engine.live_engine import LiveEngine
from inference.live.engine.voice_activity import build_detector
from inference.prediction import Prediction

logger = logging.getLogger(__name__)

#: A backend may stumble over one utterance; one that fails this often in a row is broken.
MAX_FAILURES = 3


class BackendFailedError(UserError):
    """The backend failed on several utterances in a row."""


def build_engine(
    backend: Backend,
    settings: EndpointSettings = PROFILES["isolated"],
    detector: str | None = None,
    paused: bool = False,
) -> LiveEngine:
    """The engine that cuts a stream into the utterances that a backend wants.

    Args:
        backend: Its crop contract decides how much audio surrounds a word.
        settings: When speech begins and ends.
        detector: Name of a voice activity detector, see ``build_detector``.
        paused: Whether to be deaf until ``resume`` is called.

    Raises:
        UserError: If the detector is unknown or cannot be had.
    """
    return LiveEngine(settings, build_detector(detector), backend.crop_contract, paused=paused)


class UtteranceRecogniser:
    """Asks the backend, and has its predictions decided by its operating point.

    Args:
        backend: Any backend of the table.
        name: Its name, for the records.
        min_score: The user's own lowest score, see ``OperatingPoint.decide``.
        force_emit: Whether to give the best label where the answer would be a reject, marked as forced.
        top_k: Candidates of each answer to show.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        min_score: float | None = None,
        force_emit: bool = False,
        top_k: int = TOP,
    ):
        self.backend_name = name
        self._backend = backend
        self._min_score = min_score
        self._force_emit = force_emit
        self._top_k = top_k
        self._failures = 0

    def warm_up(self) -> None:
        """Has the backend recognise silence, so that the first word need not wait for caches to fill."""
        # A backend that fails here will fail, and be reported, at the first word.
        with contextlib.suppress(Exception):
            self._backend.predict([np.zeros(SAMPLING_RATE // 2, np.float32)])

    def answer(self, utterance: Utterance) -> Word:
        """The utterance with its final answer, still without latency.

        Raises:
            BackendFailedError: If the backend raised on ``MAX_FAILURES`` utterances in a row.
        """
        answer = self._backend.operating_point.decide(
            self._predict(utterance), self._min_score, utterance.least_score, self._force_emit
        )
        return Word(
            id=utterance.id,
            answer=answer,
            start=utterance.start,
            end=utterance.end,
            latency_ms={},
            backend=self.backend_name,
            top_k=self._top_k,
        )

    def _predict(self, utterance: Utterance) -> Prediction:
        if utterance.reason:
            return Prediction(None, reason=utterance.reason)
        try:
            (prediction,) = self._backend.predict([check_waveform(utterance.waveform)])
        except Exception as error:  # a backend is foreign code, and the next word deserves its chance
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                raise BackendFailedError(
                    f"backend {self.backend_name} failed {MAX_FAILURES} times in a row, last with: {error!r}"
                ) from error
            logger.warning("backend %s failed on utterance %d: %r", self.backend_name, utterance.id, error)
            return Prediction(None, reason="backend_error")
        self._failures = 0
        return prediction
