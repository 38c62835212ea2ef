"""One client's stream through the live engine, behind the WebSocket ``/v1/stream``."""

import time
from contextlib import AbstractContextManager

import numpy as np

from inference.backends.base import Backend
from inference.errors import AudioError
from inference.live.engine.events import Event, Level, Utterance, Word
from inference.live.recognition import UtteranceRecogniser, build_engine
from inference.live.session import Session
from inference.live.source.items import Block, Opening

#: The live engine wants blocks of a quarter of a second at most.
BLOCK_SECONDS = 0.25
#: Somebody who walked away must not keep a stream open for ever.
STREAM_SECONDS = 600


class ClientStream:
    """A live session that is handed its blocks, and gives what they made certain.

    Args:
        backend: Answers the utterances.
        variant: Its name, for the records.
        lock: Held while it is asked, since other clients ask it too.
    """

    def __init__(self, backend: Backend, variant: str, lock: AbstractContextManager):
        self._events: list[Event] = []
        self._session = Session(build_engine(backend), _SharedRecogniser(backend, variant, lock), self)
        self._is_open = False

    def push(self, sampling_rate: int, waveform: np.ndarray) -> list[Event]:
        """Takes the next block, ``(num_samples,)`` at a rate in Hz.

        Returns:
            What ``inference.live --jsonl`` would print of it.
        """
        if not self._is_open:
            self._session.take(Opening("the WebSocket", sampling_rate))
            self._is_open = True
        now = time.perf_counter()
        self._session.take(Block(waveform, captured_at=now, delivered_at=now))
        return self._taken()

    def press(self, key: str) -> list[Event]:
        """Refuses a text message.

        Raises:
            AudioError: Always.
        """
        raise AudioError("a text message came, expected binary ones of 16-bit little-endian PCM, mono.")

    def end(self) -> list[Event]:
        """Answers what was still being spoken when the stream stopped, and sums up."""
        self._session.finish()
        self._session.summarise()
        return self._taken()

    def show(self, event: Event) -> None:
        """Takes an event of the session, which has this stream as its screen."""
        if not isinstance(event, Level):
            self._events.append(event)

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events


class _SharedRecogniser(UtteranceRecogniser):
    """Asks a backend that others ask too."""

    def __init__(self, backend: Backend, variant: str, lock: AbstractContextManager):
        super().__init__(backend, variant)
        self._lock = lock

    def answer(self, utterance: Utterance) -> Word:
        """See ``UtteranceRecogniser.answer``."""
        with self._lock:
            return super().answer(utterance)
