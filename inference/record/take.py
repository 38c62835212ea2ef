"""What is heard after a prompt: a take that will do, or why it will not.

Pure, like the engine inside: blocks of audio in, a take out, and no device, clock or file.
"""

from dataclasses import dataclass, field

import numpy as np

from inference.audio import SAMPLING_RATE, rms_dbfs
from inference.crop import CropContract
from inference.live.engine.endpointing import EndpointSettings
from inference.live.engine.events import Event, StateChange, Utterance
from inference.live.engine.live_engine import LiveEngine
from inference.live.engine.voice_activity import Detector
from inference.live.source.mic_check import measure

#: Kept before and after the word. A detector hears a word begin up to 160 ms late.
MARGIN_MS = 200
#: After so much silence no second word is expected.
SETTLE_MS = 500
ROOM_MS = 3000
#: A margin is silence, and that lies 20 dB below the peak of a word that stands out from it.
EDGE_MS = 30
EDGE_BELOW_PEAK_DB = 18.0

TOO_EARLY = "cut: the word had begun when it was asked for; wait until it is shown, then speak."
TOUCHES_EDGE = "cut: there is sound right beside the word; leave a moment of quiet before and after it."
DOUBLED = "doubled: two words were heard; say one, then wait."
NOT_QUIET = "something was heard: keep quiet for three seconds."
AUDIO_LOST = "some audio was lost on the way from the microphone."
#: Reason of an utterance that is none -> what the speaker is told.
PROBLEMS = {
    "too_short": "too short: say the whole word.",
    "too_long": "too long: say one word, then pause.",
    "too_quiet": "too quiet: raise the microphone's level, or come closer and speak up.",
    "clipped": "too loud: lower the microphone's level or move away from it.",
    "nonspeech": "that hardly sounded like speech: say the word once more.",
    "stale": AUDIO_LOST,
}
#: After a word these are breath and clicks, and no second word.
SLIGHT_REASONS = frozenset({"too_short", "too_quiet", "nonspeech"})


@dataclass(frozen=True)
class Take:
    """What was heard after a prompt.

    Attributes:
        problem: Why it will not do and what to do about it; None if it will.
        waveform: The word with its margins, or the room; float32 of shape ``(num_samples,)`` at 16 kHz.
    """

    problem: str | None
    waveform: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32), compare=False, repr=False)


class TakeListener:
    """Listens for one take after each prompt.

    Args:
        settings: When a word begins and ends, as for the live microphone.
        detector: Scores frames; owned by the listener from now on.
    """

    def __init__(self, settings: EndpointSettings, detector: Detector):
        self.detector_name = detector.name
        keep_ms = max(ROOM_MS, MARGIN_MS + settings.max_speech_ms + SETTLE_MS) + 1000
        self._engine = LiveEngine(settings, detector, CropContract(), keep_ms=keep_ms)
        self._wants_silence = False
        self.ask()

    def ask(self, for_silence: bool = False) -> None:
        """A prompt is shown now: for a word, or for the silence of the room."""
        self._asked_at = self._engine.position
        self._wants_silence = for_silence
        self._word: Utterance | None = None

    @property
    def has_heard(self) -> bool:
        """Whether something is being said, or was said and may be followed by more."""
        return self._word is not None or not self._engine.is_idle

    def open(self, sampling_rate: int) -> None:
        """A stream of that rate in Hz begins, or begins again."""
        self._engine.skip(0, sampling_rate)

    def push(self, waveform: np.ndarray, missing: int = 0) -> tuple[list[Event], Take | None]:
        """Takes the next block.

        Args:
            waveform: Float32 of shape ``(num_samples,)`` at the rate of the stream, any length.
            missing: Samples lost before it.

        Returns:
            What became certain by it, and the take if there is one; then the next prompt is due.
        """
        was_hit = missing > 0 and (self.has_heard or self._wants_silence)
        events = [*(self._engine.skip(missing) if missing else ()), *self._engine.push(waveform)]
        take = Take(AUDIO_LOST) if was_hit else None
        for event in events:
            if take is None and isinstance(event, (Utterance, StateChange)):
                take = self._follow(event)
        return events, take or self._finished()

    def _follow(self, event: Utterance | StateChange) -> Take | None:
        """The refusal that an event brings, if it does."""
        if self._wants_silence:
            is_loud = isinstance(event, Utterance) or event.state == "speech"
            return Take(NOT_QUIET) if is_loud else None
        if isinstance(event, StateChange) or event.end <= self._asked_at:
            return None
        if self._word is not None:
            return None if event.reason in SLIGHT_REASONS else Take(DOUBLED)
        if event.start < self._asked_at + _samples(MARGIN_MS):
            return Take(TOO_EARLY)
        if event.reason:
            return Take(PROBLEMS[event.reason])
        self._word = event
        return None

    def _finished(self) -> Take | None:
        """The take, once it is certain that nothing follows."""
        position = self._engine.position
        if not self._engine.is_idle:
            return None
        if self._wants_silence:
            first = self._asked_at + _samples(MARGIN_MS)  # without the key that was pressed
            last = first + _samples(ROOM_MS)
            return Take(None, self._engine.heard(first, last)) if position >= last else None
        if self._word is None or position < self._word.end + _samples(SETTLE_MS):
            return None
        margin = _samples(MARGIN_MS)
        waveform = self._engine.heard(self._word.start - margin, self._word.end + margin)
        return Take(check_take(waveform), waveform)


def check_take(waveform: np.ndarray) -> str | None:
    """What is wrong with a word and its margins, and what to do about it; None if nothing is.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
    """
    check = measure(waveform, SAMPLING_RATE)
    if check.verdict:
        return check.verdict
    edge = _samples(EDGE_MS)
    beside_dbfs = max(rms_dbfs(waveform[:edge]), rms_dbfs(waveform[-edge:]))
    return TOUCHES_EDGE if beside_dbfs > check.peak_dbfs - EDGE_BELOW_PEAK_DB else None


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLING_RATE // 1000
