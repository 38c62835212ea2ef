"""A microphone in the browser: blocks of one visitor's stream through the live engine."""

import numpy as np

from inference.audio import SAMPLING_RATE, Downmix
from inference.backends.base import Backend
from inference.live.engine.events import Event, Utterance, Word
from inference.live.recognition import UtteranceRecogniser, build_engine


class BrowserStream:
    """Everything that one visitor's stream has of its own.

    Args:
        backend: Answers the utterances.
        name: Its name, for the records.
    """

    def __init__(self, backend: Backend, name: str):
        self._engine = build_engine(backend)
        self._recogniser = UtteranceRecogniser(backend, name)
        self._sampling_rate = SAMPLING_RATE
        self._downmix = Downmix("the browser's microphone")

    def push(self, sampling_rate: int, block: np.ndarray) -> list[Word]:
        """Takes the next block and answers what was spoken to its end.

        Args:
            sampling_rate: Of the block, in Hz.
            block: As the browser gives it: integers or floats, ``(num_samples,)`` or
                ``(num_samples, num_channels)``.
        """
        if sampling_rate != self._sampling_rate:
            self._engine.skip(0, sampling_rate)
            self._sampling_rate = sampling_rate
        return self._words(self._engine.push(self._downmix(to_channels(block))))

    def end(self) -> list[Word]:
        """Answers what was still being spoken when the stream stopped."""
        return self._words(self._engine.flush())

    def _words(self, events: list[Event]) -> list[Word]:
        return [self._recogniser.answer(event) for event in events if isinstance(event, Utterance)]


def to_channels(block: np.ndarray) -> np.ndarray:
    """Float32 in [-1, 1] of shape ``(num_channels, num_samples)``; integers are scaled."""
    scale = np.iinfo(block.dtype).max + 1 if np.issubdtype(block.dtype, np.integer) else 1
    return np.atleast_2d((block.astype(np.float32) / np.float32(scale)).T)
