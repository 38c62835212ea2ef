"""Guided recording in the browser: what stands behind the WebSocket of the tab "Record"."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from starlette.websockets import WebSocket

from inference.app.service import BadRequestError
from inference.errors import AudioError
from inference.live.engine.endpointing import PROFILES
from inference.live.engine.events import Asked, Event, Level, Taken, Utterance
from inference.live.engine.voice_activity import build_detector
from inference.live.source.items import Block, Opening
from inference.live.source.recording import wave_bytes
from inference.record.prompts import MAX_TAKES, check_speaker, missing_prompts
from inference.record.session import GuidedRecording
from inference.record.take import TakeListener

#: Keys of the command that visitors have too; the browser plays a take itself, and tells its end as "p".
AGAIN, SKIP, PLAYED = "asp"


def recorder(folder: Path, non_words: Path | None) -> Callable[[WebSocket], "ClientRecording"]:
    """Who begins the recording of a client that asks for ``?speaker=anna&takes=10``.

    Args:
        folder: Where the words are kept.
        non_words: Where the sound of the room and other words are kept, None if they are not wanted.
    """

    def begin(websocket: WebSocket) -> ClientRecording:
        # A page from elsewhere, open in the same browser, must not write here.
        origin, host = websocket.headers.get("origin"), websocket.headers.get("host")
        if origin is not None and urlsplit(origin).netloc != host:
            raise BadRequestError(
                f"the page came from {origin} and records at {host}: have the proxy pass the header Host on."
            )
        query = websocket.query_params
        takes = query.get("takes", "10")
        if not takes.isdecimal() or not 1 <= int(takes[:9]) <= MAX_TAKES:
            raise BadRequestError(f"takes={takes}: expected 1 to {MAX_TAKES}.")
        return ClientRecording(query.get("speaker", ""), int(takes), folder, non_words)

    return begin


class ClientRecording:
    """A guided recording that is handed its blocks and keys.

    Args:
        speaker: Who speaks, as part of the file names.
        num_takes: How often each word is wanted.
        folder: Where the words are kept.
        non_words: Where the sound of the room and other words are kept, None if they are not wanted.

    Raises:
        UserError: If the speaker can be no part of a file name.
    """

    def __init__(self, speaker: str, num_takes: int, folder: Path, non_words: Path | None = None):
        self._wanted = (check_speaker(speaker), num_takes, folder, non_words)
        listener = TakeListener(PROFILES["isolated"], build_detector())
        self._session = GuidedRecording(missing_prompts(*self._wanted), listener, [self])
        self._speaker = speaker
        self._answer: list[Event | bytes] = []
        self._is_open = self._was_finished = False

    def push(self, sampling_rate: int, waveform: np.ndarray) -> list[Event | bytes]:
        """Takes the next block, ``(num_samples,)`` at a rate in Hz.

        Returns:
            What became certain by them; behind a take that is kept, its WAV file.
        """
        if not self._is_open:
            self._session.hear(Opening("the browser's microphone", sampling_rate))
            self._is_open = True
        now = time.perf_counter()
        self._session.hear(Block(waveform, captured_at=now, delivered_at=now))
        return self._taken()

    def press(self, key: str) -> list[Event | bytes]:
        """Takes the last take back, skips a word, or listens again after a take was played.

        Raises:
            AudioError: If there is no such key.
        """
        if key not in (AGAIN, SKIP, PLAYED):
            raise AudioError(f"{key[:9]!r} is no key: there are {AGAIN}, {SKIP} and {PLAYED}.")
        if key == PLAYED:
            self._session.ask()
        else:
            self._session.obey(key)
        return self._taken()

    def end(self) -> list[Event | bytes]:
        """The end; a word under way is dropped."""
        return []

    def show(self, event: Event) -> None:
        """Takes an event of the session, which has this as its screen."""
        if not isinstance(event, (Level, Utterance)):
            self._answer.append(event)
        if isinstance(event, Taken) and event.problem is None:
            self._answer.append(wave_bytes(self._session.last_take))

    def _taken(self) -> list[Event | bytes]:
        if self._session.is_finished and not self._was_finished:
            num_left = len(missing_prompts(*self._wanted))
            left = (
                f"{num_left} to go: stop, and record again for them." if num_left else "all takes are kept."
            )
            self._answer.append(Asked(f"{self._speaker}: {left}"))
        self._was_finished = self._session.is_finished
        answer, self._answer = self._answer, []
        return answer
