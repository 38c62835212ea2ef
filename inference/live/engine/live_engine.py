"""The engine: blocks of audio in, events out.

Pure on purpose: no thread, clock, device, file or print. Time is the number of samples, so the
same audio gives the same events however it is cut into blocks and however fast it is fed.
Microphone, replay and tests all drive this one object.
"""

from collections import deque

import numpy as np
import soxr

from inference.audio import SAMPLING_RATE, rms_dbfs
from inference.crop import CropContract, crop
from inference.live.engine.endpointing import Endpointer, EndpointSettings, Segment, State
from inference.live.engine.events import Event, Gap, Level, StateChange, Utterance
from inference.live.engine.push_to_talk import BEFORE_MS, Gate
from inference.live.engine.voice_activity import SILENCE_DBFS, Detector, NoiseFloor

#: An utterance must reach these levels: detectors can fire on near-silence.
LEAST_PEAK_DBFS = -60.0
LEAST_RISE_DB = 6.0
#: An utterance with this share of samples at full scale is answered as clipped: of FSDD's validation clips,
#: amplified until 20 to 30 % were, the MFCC machine knew 74 %, and was as sure of the others.
CLIPPED_SHARE = 0.2
FULL_SCALE = 0.999
#: Less than one step of 16 bits: what lies between clips strung together, or behind a noise gate. After so
#: much of it everything begins anew.
DIGITAL_SILENCE = 1 / 32768
DIGITAL_SILENCE_MS = 160
#: A recurrent detector drifts in long silence; it starts afresh after this much of it.
IDLE_RESET_SECONDS = 60
LEVEL_EVENTS_PER_S = 10


class LiveEngine:
    """Endpoints a stream and cuts utterances as the backend wants them.

    Args:
        settings: When speech begins and ends.
        detector: Scores frames; owned by the engine from now on.
        crop_contract: What the backend declares about its audio.
        sampling_rate: Rate of the blocks that will be pushed, in Hz.
        paused: Whether to be deaf until ``resume`` is called.
        keep_ms: Audio to keep for ``heard``, beyond what crops need.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        detector: Detector,
        crop_contract: CropContract,
        sampling_rate: int = SAMPLING_RATE,
        paused: bool = False,
        keep_ms: int = 0,
    ):
        self.detector_name = detector.name
        self._detector = detector
        self._contract = crop_contract
        self._frame_samples = detector.frame_samples
        self._endpointer = Endpointer(settings, detector.frame_samples, SAMPLING_RATE)
        self._lead = crop_contract.pre_ms * SAMPLING_RATE // 1000
        self._new_beginning = DIGITAL_SILENCE_MS * SAMPLING_RATE // 1000 // detector.frame_samples
        self._gate = Gate(detector.frame_samples, is_open=not paused)
        keep_ms += settings.max_speech_ms + settings.hangover_ms + crop_contract.pre_ms + BEFORE_MS + 200
        self._history = _History(keep_ms * SAMPLING_RATE // 1000)
        self._scores: deque[tuple[int, float]] = deque(
            maxlen=keep_ms * SAMPLING_RATE // 1000 // detector.frame_samples
        )
        self._level_frames = max(1, SAMPLING_RATE // LEVEL_EVENTS_PER_S // self._frame_samples)
        self._is_paused = False
        #: First sample of the window being captured, and the first after it.
        self._capture: tuple[int, int] | None = None
        self._next_id = 1
        self._previous_end = -self._lead
        self._received = 0.0
        self._restart(sampling_rate)

    @property
    def position(self) -> int:
        """Samples of the stream dealt with so far, at 16 kHz."""
        return self._history.end

    @property
    def received(self) -> float:
        """Samples of the stream pushed so far, at 16 kHz; some may still wait for a whole frame."""
        return self._received

    def push(self, block: np.ndarray) -> list[Event]:
        """Takes the next block.

        Args:
            block: Float32 of shape ``(num_samples,)`` at the engine's input rate, any length.

        Returns:
            What became certain by it, in order.
        """
        self._received += block.size * SAMPLING_RATE / self._sampling_rate
        return self._process(block, last=False)

    def heard(self, start: int, end: int) -> np.ndarray:
        """What was heard between two positions that are not too long ago, as ``(num_samples,)``."""
        return self._history.since(start)[: end - start]

    def pause(self) -> None:
        """Makes the engine deaf, once the end of a word under way had time to come."""
        self._gate.close()

    def resume(self) -> None:
        """Makes the engine listen again, from a moment before now."""
        self._gate.open()

    def capture(self, milliseconds: int) -> list[Event]:
        """Takes so much audio from now on as one word, whatever the detector makes of it, if it is paused."""
        if not self._is_paused or self._capture is not None:
            return []
        self._capture = (self.position, self.position + milliseconds * SAMPLING_RATE // 1000)
        return [StateChange("speech", self.position)]

    @property
    def is_listening(self) -> bool:
        """Whether words are heard at this position of the stream."""
        return self._gate.is_open

    @property
    def is_idle(self) -> bool:
        """Whether it listens and nothing is being said; see ``REST_SECONDS``."""
        return self._gate.is_open and self._endpointer.state is State.IDLE

    def flush(self) -> list[Event]:
        """Ends the stream: an open utterance is closed where the audio stops."""
        events = self._end()
        self._restart(self._sampling_rate)
        return events

    def skip(self, num_samples: int, sampling_rate: int | None = None) -> list[Event]:
        """Accounts for audio that was lost; an open utterance is answered as ``stale``.

        Args:
            num_samples: How many samples are missing, at the input rate so far.
            sampling_rate: Rate of the blocks to come, None if it stays.
        """
        events = self._end("stale")
        missing = round(num_samples * SAMPLING_RATE / self._sampling_rate)
        self._history.skip(max(0, round(self._received) + missing - self.position))
        if missing:
            events.append(Gap(position=self.position, num_samples=missing))
        self._restart(sampling_rate or self._sampling_rate)
        return events

    def _restart(self, sampling_rate: int) -> None:
        self._sampling_rate = sampling_rate
        self._received = float(self.position)
        self._resampler = (
            None
            if sampling_rate == SAMPLING_RATE
            else soxr.ResampleStream(sampling_rate, SAMPLING_RATE, 1, dtype="float32")
        )
        self._pending = np.zeros(0, np.float32)
        self._detector.reset()
        self._silent_frames = self._new_beginning
        # A word that begins with the stream gets silence into its crop.
        position = self.position
        self._history.append(np.zeros(self._lead, np.float32))
        self._history.end = position
        self._gate.forget()
        self._capture = None
        self._noise = NoiseFloor(1000 * self._frame_samples / SAMPLING_RATE)
        self._idle_frames = 0
        self._frames_seen = 0

    def _process(self, block: np.ndarray, last: bool) -> list[Event]:
        if self._resampler:
            block = self._resampler.resample_chunk(np.ascontiguousarray(block, np.float32), last)
        self._pending = np.concatenate([self._pending, block])
        events: list[Event] = []
        while self._pending.size >= self._frame_samples:
            sounding = np.abs(self._pending[: self._frame_samples]) >= DIGITAL_SILENCE
            if not sounding.any():
                self._silent_frames += 1
            else:
                if self._silent_frames >= self._new_beginning and self._endpointer.state is State.IDLE:
                    self._begin_with_sound(int(sounding.argmax()))
                    if self._pending.size < self._frame_samples:
                        break
                self._silent_frames = 0
            frame, self._pending = np.split(self._pending, [self._frame_samples])
            events += self._frame(frame)
        return events

    def _begin_with_sound(self, num_silent: int) -> None:
        """Begins anew after digital silence, frames and all: a border of frames can hide a sharp onset."""
        self._detector.reset()
        self._history.append(self._pending[:num_silent])
        self._pending = self._pending[num_silent:]

    def _frame(self, frame: np.ndarray) -> list[Event]:
        position = self.position
        self._history.append(frame)
        events: list[Event] = []
        frames = self._gate.push(self._detector.score(frame), position)
        if frames and self._is_paused:
            self._is_paused = False
            events.append(StateChange("listening", frames[0][1]))
        for score, first in frames:
            events += self._endpoint(score, first)
        if not self._gate.is_open and not self._is_paused:
            events += self._pause()
        if self._capture is not None and self.position >= self._capture[1]:
            start, end = self._capture
            self._capture = None
            events += [self._utterance(Segment(start, end, end, end)), StateChange("paused", self.position)]
        level_dbfs = max(rms_dbfs(frame), SILENCE_DBFS)
        if self._endpointer.state is State.IDLE:
            self._listen(level_dbfs)
        else:
            self._idle_frames = 0
        self._frames_seen += 1
        if self._frames_seen % self._level_frames == 0:
            events.append(Level(self.position, level_dbfs, self._noise.dbfs))
        return events

    def _endpoint(self, score: float, position: int) -> list[Event]:
        events: list[Event] = []
        was_speaking = self._endpointer.is_speaking
        self._scores.append((position, score))
        segment = self._endpointer.push(score, position)
        if self._endpointer.is_speaking and not was_speaking:
            events.append(StateChange("speech", self._endpointer.start))
        if segment:
            events.append(self._utterance(segment))
        if was_speaking and not self._endpointer.is_speaking:
            events.append(StateChange("listening", self.position))
        return events

    def _pause(self) -> list[Event]:
        """Becomes deaf; a word that is still open is taken as it stands."""
        self._is_paused = True
        segment = self._endpointer.cut(self.position)
        utterances: list[Event] = [self._utterance(segment)] if segment else []
        return [*utterances, StateChange("paused", self.position)]

    def _listen(self, level_dbfs: float) -> None:
        """Between utterances: follows the background, and restarts a detector that may have drifted."""
        self._noise.update(level_dbfs)
        self._idle_frames += 1
        if self._idle_frames * self._frame_samples >= IDLE_RESET_SECONDS * SAMPLING_RATE:
            self._idle_frames = 0
            self._detector.reset()

    def _end(self, reason: str | None = None) -> list[Event]:
        """Processes what is still waiting for a whole frame, and closes whatever is open."""
        events = self._process(np.zeros(0, np.float32), last=True)
        if self._pending.size:
            missing = self._frame_samples - self._pending.size
            events += self._frame(np.pad(self._pending, (0, missing)))
        was_speaking = self._endpointer.is_speaking
        segment = self._endpointer.cut(self.position, reason)
        if segment:
            events.append(self._utterance(segment))
        if was_speaking:
            events.append(StateChange("listening", self.position))
        return events

    def _utterance(self, segment: Segment) -> Utterance:
        waveform = self._history.since(segment.start - self._lead)
        base = self.position - waveform.size
        start, end = segment.start - base, segment.end - base
        reason = segment.reason
        if reason is None and self._is_quiet(waveform[start:end]):
            reason = "too_quiet"
        if reason is None and np.mean(np.abs(waveform[start:end]) >= FULL_SCALE) >= CLIPPED_SHARE:
            reason = "clipped"
        mean_score = self._mean_score(segment)
        if reason is None and mean_score < self._detector.least_mean_score:
            reason = "nonspeech"
        utterance = Utterance(
            id=self._next_id,
            start=segment.start,
            end=segment.end,
            last_speech=segment.last_speech,
            decided=segment.decided,
            reason=reason,
            lead=min(self._lead, start, segment.start - self._previous_end),
            # Silence between two keys can score nothing at all.
            least_score=self._detector.least_joint_score / mean_score if mean_score else 0.0,
            waveform=crop(waveform, start, end, self._contract, earliest=self._previous_end - base),
        )
        self._next_id += 1
        self._previous_end = segment.end
        return utterance

    def _mean_score(self, segment: Segment) -> float:
        scores = [score for position, score in self._scores if segment.start <= position < segment.end]
        # What was captured without the detector is taken for a word.
        return sum(scores) / len(scores) if scores else 1.0

    def _is_quiet(self, speech: np.ndarray) -> bool:
        step = self._frame_samples
        peak_dbfs = max(rms_dbfs(speech[first : first + step]) for first in range(0, speech.size, step))
        return peak_dbfs < max(LEAST_PEAK_DBFS, self._noise.dbfs + LEAST_RISE_DB)


class _History:
    """Keeps at least the last ``keep`` samples of an endless waveform in bounded memory.

    Args:
        keep: Samples that must stay readable.
    """

    def __init__(self, keep: int):
        self._keep = keep
        self._buffer = np.zeros(4 * keep, np.float32)
        self._filled = 0
        #: Position in the stream after the last sample.
        self.end = 0

    def append(self, waveform: np.ndarray) -> None:
        """Adds samples at the end; float32 of shape ``(num_samples,)``, at most ``keep`` of them."""
        if self._filled + waveform.size > self._buffer.size:
            self._buffer[: self._keep] = self._buffer[self._filled - self._keep : self._filled]
            self._filled = self._keep
        self._buffer[self._filled : self._filled + waveform.size] = waveform
        self._filled += waveform.size
        self.end += waveform.size

    def skip(self, num_samples: int) -> None:
        """Moves on by samples that are missing; what lies before them cannot be read any more."""
        self._filled = 0
        self.end += num_samples

    def since(self, position: int) -> np.ndarray:
        """Everything from ``position``, or from the oldest sample that is still kept."""
        return self._buffer[max(0, self._filled - (self.end - position)) : self._filled].copy()
