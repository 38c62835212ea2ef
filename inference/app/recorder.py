"""Guided recording in the browser: the tab, and what stands behind its WebSocket.

Gradio's own stream of a microphone keeps only the newest block where the server is slow, and says nothing of
the others: good enough to listen to, not to learn from. A WebSocket loses none and keeps their order.
"""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from starlette.websockets import WebSocket

from inference.app.service import BadRequestError
from inference.app.streaming import to_channels
from inference.errors import AudioError
from inference.live.engine.endpointing import PROFILES
from inference.live.engine.events import Asked, Event, Level, Taken, Utterance
from inference.live.engine.voice_activity import build_detector
from inference.live.source.items import Block, Opening
from inference.live.source.recording import wave_bytes
from inference.record.prompts import check_speaker, missing_prompts
from inference.record.session import GuidedRecording
from inference.record.take import TakeListener

#: Of each word, by one speaker: what a visitor asks for must not fill memory.
MAX_TAKES = 100
#: Keys of the command that visitors have too; the browser plays a take itself, and tells its end as "p".
AGAIN, SKIP, PLAYED = "asp"

TAB_SCRIPT = Path(__file__).with_suffix(".js")
TAB = f"""
<form>
  <label>Speaker <input name="speaker" required maxlength="64" placeholder="anna" autocomplete="off"></label>
  <label>Takes of each word <input name="takes" type="number" min="1" max="{MAX_TAKES}" value="10"></label>
  <button name="record">Record</button>
</form>
<p class="progress">One word after the other is asked for, and kept if it will do.</p>
<p class="asked" aria-live="polite">&nbsp;</p>
<div class="level" aria-hidden="true"><div></div></div>
<p class="said" role="status">&nbsp;</p>
<div class="row">
  <button name="again" type="button" disabled>Take again</button>
  <button name="skip" type="button" disabled>Skip</button>
  <audio controls aria-label="the last take"></audio>
</div>
"""
TAB_STYLE = """
form, .row { display: flex; flex-wrap: wrap; gap: 12px; align-items: end; margin: 12px 0; }
.row { align-items: center; min-height: 54px; }
label { display: flex; flex-direction: column; gap: 4px; flex: 1 1 140px; }
input { background: var(--input-background-fill); color: var(--body-text-color); padding: 8px 12px;
  border: 1px solid var(--border-color-primary); border-radius: 8px; font: inherit; width: 100%; }
input::placeholder { color: var(--input-placeholder-color); }
button { background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color);
  border-radius: 8px; padding: 9px 18px; font-weight: 600; cursor: pointer; }
button[name=record] { background: var(--button-primary-background-fill);
  color: var(--button-primary-text-color); }
button:disabled { opacity: .5; cursor: default; }
.asked { font-size: 2.4rem; font-weight: 600; line-height: 1.2; margin: 4px 0; }
.progress, .said { margin: 4px 0; }
.said.refused { border-left: 4px solid #e69f00; padding-left: 8px; }
.level { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; }
.level div { height: 100%; width: 0; background: var(--color-accent); }
audio { flex: 1 1 240px; height: 40px; max-width: 420px; }
.dark & audio { color-scheme: dark; }
audio:not([src]) { visibility: hidden; }
"""


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

    def push(self, sampling_rate: int, block: np.ndarray) -> list[Event | bytes]:
        """Takes 16-bit samples ``(num_samples,)`` at a rate in Hz.

        Returns:
            What became certain by them; behind a take that is kept, its WAV file.
        """
        if not self._is_open:
            self._session.hear(Opening("the browser's microphone", sampling_rate))
            self._is_open = True
        now = time.perf_counter()
        self._session.hear(Block(to_channels(block)[0], captured_at=now, delivered_at=now))
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
