"""A guided recording: one loop from the microphone through the listener into files."""

import contextlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.errors import UserError
from inference.files import write_bytes
from inference.live.engine.events import Asked, Event, Hint, Lost, Ready, Recovered, Taken
from inference.live.output.plain_lines import Output
from inference.live.source.capture import Failed, play_audio
from inference.live.source.items import Block, Item, Loss, Opening, Source
from inference.live.source.mic_check import measure
from inference.live.source.microphone import Child
from inference.live.source.recording import to_int16, wave_bytes
from inference.record.prompts import Prompt
from inference.record.take import Take, TakeListener

KEYS_HELP = "p play the last take, a take it again, s skip, q quit"


class GuidedRecording:
    """Asks for one prompt after the other until all are kept or skipped, or the speaker quits.

    Args:
        prompts: What is to be recorded, in order.
        listener: Judges what is said.
        outputs: Shown every event.
        pressed: Gives the keys pressed since it was last called.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        listener: TakeListener,
        outputs: Sequence[Output],
        pressed: Callable[[], str] = str,
    ):
        self._prompts = list(prompts)
        self._listener = listener
        self._outputs = outputs
        self._pressed = pressed
        self._next = 0
        #: Places of the prompts that were kept, and the last take.
        self._kept: list[int] = []
        self._last = np.zeros(0, np.float32)
        self._player: Child | None = None
        self._lost_at: float | None = None
        self._has_quit = False

    def run(self, source: Source) -> None:
        """Records; the source is released in any case.

        Raises:
            MicrophoneError: If the source cannot be opened.
            UserError: If a file cannot be written.
        """
        with contextlib.closing(source.stream()) as stream:
            try:
                for item in stream:
                    self.hear(item)
                    for key in self._pressed():
                        self.obey(key)
                    if self._has_quit or self.is_finished:
                        break
            finally:
                self._stop_player()

    @property
    def is_finished(self) -> bool:
        """Whether every prompt was kept or skipped."""
        return self._next >= len(self._prompts)

    @property
    def last_take(self) -> np.ndarray:
        """What was kept last, float32 of shape ``(num_samples,)`` at 16 kHz; empty before that."""
        return self._last

    def hear(self, item: Item) -> None:
        """Takes the next item of a source; after the last prompt nothing is heard.

        Raises:
            UserError: If a file cannot be written.
        """
        if isinstance(item, Opening):
            self._listener.open(item.sampling_rate)
            if self._lost_at is None:
                self._show(Ready(item.name, item.sampling_rate, "", self._listener.detector_name))
            else:
                seconds = time.perf_counter() - self._lost_at
                self._show(Recovered(item.name, item.sampling_rate, seconds))
            self.ask()
        elif isinstance(item, Loss):
            self._lost_at = time.perf_counter()
            self._show(Lost(item.reason))
        elif isinstance(item, Block) and not self.is_finished and not self._is_playing():
            events, take = self._listener.push(item.waveform, item.missing)
            for event in events:
                self._show(event)
            if take is not None:
                self._decide(take)

    def ask(self) -> None:
        """Shows the prompt that is due, if one is left, and listens for it from now on."""
        if not self.is_finished:
            prompt = self._prompts[self._next]
            self._show(Asked(f"[{self._next + 1} of {len(self._prompts)}] {prompt.text}"))
            self._listener.ask(for_silence=prompt.is_silence)

    def _decide(self, take: Take) -> None:
        path = self._prompts[self._next].path
        if take.problem is None and path.exists():
            self._show(
                Hint(f"{path.name} came from elsewhere meanwhile and stays: does another use this name?")
            )
            self._next += 1
        elif take.problem is None:
            try:
                write_bytes(path, wave_bytes(take.waveform))
            except OSError as error:
                raise UserError(
                    f"{path} cannot be written: {error.strerror}. The takes before it are kept."
                ) from error
            self._kept.append(self._next)
            self._last = take.waveform
            self._next += 1
            peak_dbfs = measure(take.waveform, SAMPLING_RATE).peak_dbfs
            self._show(Taken(path.name, None, take.waveform.size / SAMPLING_RATE, peak_dbfs))
        else:
            self._show(Taken("", take.problem))
        self.ask()

    def obey(self, key: str) -> None:
        """Does what a key of ``KEYS_HELP`` stands for."""
        if key == "q":
            self._has_quit = True
        elif self._is_playing():
            return
        elif key == "s":
            self._next += 1
            self.ask()
        elif key == "a":
            if self._kept and not self._listener.has_heard:
                self._next = self._kept.pop()
                self._prompts[self._next].path.unlink(missing_ok=True)
            self.ask()
        elif key == "p" and self._kept:
            self._show(Asked(f"playing {self._prompts[self._kept[-1]].path.name}: wait for the end"))
            # In a process of its own, as the microphone: the sound library may hang.
            self._player = Child(play_audio, to_int16(self._last), SAMPLING_RATE)

    def _is_playing(self) -> bool:
        """Whether a take is being played; the prompt is shown again once it has ended."""
        if self._player is None:
            return False
        message = self._player.receive(0.0)
        if message is None and self._player.is_alive:
            return True
        if isinstance(message, Failed):
            self._show(Hint(message.message))
        self._stop_player()
        self.ask()
        return False

    def _stop_player(self) -> None:
        if self._player:
            self._player.kill()
            self._player = None

    def _show(self, event: Event) -> None:
        for output in self._outputs:
            output.show(event)
