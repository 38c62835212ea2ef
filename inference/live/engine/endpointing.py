"""The endpointer: detector scores in, stretches of speech out.

A pure state machine over frames of equal length. It knows of no audio, clock or device, so its
behaviour can be written down as a list of scores and the intervals expected from it.
"""

from dataclasses import dataclass
from enum import Enum

from inference.errors import UserError


class State(Enum):
    """Where the endpointer stands after a frame."""

    IDLE = "idle"
    ONSET = "onset"
    SPEECH = "speech"
    HANGOVER = "hangover"
    #: Speech that was already answered as too long; waits for silence.
    OVERLONG = "overlong"


@dataclass(frozen=True)
class EndpointSettings:
    """When speech begins and ends.

    The thresholds were chosen on streams of spoken digits: a higher one to enter misses more of
    them, a lower one to leave ends words later; neither gains anything in noise.

    Attributes:
        enter_threshold: Score at which a frame counts as speech.
        leave_threshold: Score below which a frame counts as silence.
        confirm_ms: Speech needed within ``confirm_window_ms`` before an onset is believed.
        confirm_window_ms: Time an onset has to be confirmed.
        hangover_ms: Silence that ends an utterance. Neighbours less than about this apart merge.
        min_speech_ms: Less active speech than this is answered as too short.
        max_speech_ms: Longer speech is answered as too long.
    """

    enter_threshold: float = 0.4
    leave_threshold: float = 0.35
    confirm_ms: int = 64
    confirm_window_ms: int = 96
    hangover_ms: int = 128
    min_speech_ms: int = 96
    max_speech_ms: int = 1200

    def __post_init__(self) -> None:
        if not 0.0 < self.leave_threshold <= self.enter_threshold < 1.0:
            raise UserError(
                f"thresholds enter {self.enter_threshold} and leave {self.leave_threshold}: "
                "expected 0 < leave <= enter < 1, for example 0.4 and 0.35."
            )
        if self.min_speech_ms >= self.max_speech_ms:
            raise UserError(
                f"a word of at least {self.min_speech_ms} ms: expected less than the longest word, "
                f"{self.max_speech_ms} ms."
            )


#: What a user is about to say decides how much silence ends a word.
PROFILES: dict[str, EndpointSettings] = {
    "isolated": EndpointSettings(hangover_ms=128),
    "string": EndpointSettings(hangover_ms=96),
}


@dataclass(frozen=True)
class Segment:
    """A finished stretch of speech; positions count samples from the start of the stream.

    Attributes:
        start: First sample of detected speech.
        end: First sample after the detected speech.
        last_speech: First sample after the last frame that reached the enter threshold.
        decided: First sample after the frame that made the end certain.
        reason: None, or why it is no utterance: ``too_short``, ``too_long`` or ``stale``.
    """

    start: int
    end: int
    last_speech: int
    decided: int
    reason: str | None = None


class Endpointer:
    """Turns one score per frame into segments.

    Args:
        settings: When speech begins and ends.
        frame_samples: Samples per detector frame.
        sampling_rate: Rate those samples are counted at, in Hz.
    """

    def __init__(self, settings: EndpointSettings, frame_samples: int, sampling_rate: int):
        self.settings = settings
        self._frame_samples = frame_samples
        frame_ms = 1000 * frame_samples / sampling_rate
        self._confirm, self._window, self._hangover, self._least, self._most = (
            max(1, round(ms / frame_ms))
            for ms in (
                settings.confirm_ms,
                settings.confirm_window_ms,
                settings.hangover_ms,
                settings.min_speech_ms,
                settings.max_speech_ms,
            )
        )
        self.state = State.IDLE
        self._clear()

    @property
    def is_speaking(self) -> bool:
        """Whether speech is confirmed and not over."""
        return self.state in (State.SPEECH, State.HANGOVER, State.OVERLONG)

    @property
    def start(self) -> int:
        """First sample of the speech under way; meaningful while ``state`` is not idle."""
        return self._start

    def push(self, score: float, position: int) -> Segment | None:
        """Takes the score of one frame.

        Args:
            score: Detector score in [0, 1].
            position: First sample of the frame.

        Returns:
            The segment that this frame completed, or None.
        """
        after = position + self._frame_samples
        is_speech = score >= self.settings.enter_threshold
        is_silence = score < self.settings.leave_threshold
        if self.state is State.IDLE and is_speech:
            self.state = State.ONSET
            self._start = position
        if self.state is State.IDLE:
            return None
        if is_speech:
            self._last_speech = after
            self._hits += 1
        if not is_silence:
            self._active += 1
        if self.state is State.ONSET:
            self._confirm_onset(position)
            return None
        self._track_silence(is_speech, is_silence, position)
        if self._silent_frames >= self._hangover:
            return self._close(after)
        if self.state is not State.OVERLONG and after - self._start > self._most * self._frame_samples:
            self.state = State.OVERLONG
            return Segment(self._start, after, self._last_speech, after, "too_long")
        return None

    def cut(self, position: int, reason: str | None = None) -> Segment | None:
        """Ends whatever is open at once, because the stream ended or samples were lost.

        Args:
            position: First sample after the last frame.
            reason: Why the utterance is no utterance, None to keep it as one.

        Returns:
            The segment that was open and confirmed, or None.
        """
        segment = None
        if self.state in (State.SPEECH, State.HANGOVER):
            end = position if self.state is State.SPEECH else self._silence_start
            reason = reason or ("too_short" if self._active < self._least else None)
            segment = Segment(self._start, end, self._last_speech, position, reason)
        self._reset()
        return segment

    def _confirm_onset(self, position: int) -> None:
        if self._hits >= self._confirm:
            self.state = State.SPEECH
        elif position - self._start >= (self._window - 1) * self._frame_samples:
            self._reset()

    def _track_silence(self, is_speech: bool, is_silence: bool, position: int) -> None:
        if is_speech:
            self._silent_frames = 0
            if self.state is State.HANGOVER:
                self.state = State.SPEECH
        elif self._silent_frames or is_silence:
            # Between the thresholds nothing new begins: a hangover under way goes on.
            if self._silent_frames == 0:
                self._silence_start = position
            self._silent_frames += 1
            if self.state is State.SPEECH:
                self.state = State.HANGOVER

    def _close(self, decided: int) -> Segment | None:
        segment = None
        if self.state is not State.OVERLONG:
            reason = "too_short" if self._active < self._least else None
            segment = Segment(self._start, self._silence_start, self._last_speech, decided, reason)
        self._reset()
        return segment

    def _reset(self) -> None:
        self.state = State.IDLE
        self._clear()

    def _clear(self) -> None:
        self._start = 0
        self._silence_start = 0
        self._last_speech = 0
        self._silent_frames = 0
        self._hits = 0
        self._active = 0
