"""Voice activity detectors: one frame of audio in, one score in [0, 1] out.

``SileroDetector`` runs the Silero VAD network that ships inside the faster-whisper package;
``EnergyDetector`` needs nothing and follows the noise floor. Both keep state between frames.
"""

import importlib.util
from collections import deque
from pathlib import Path
from typing import Protocol

import numpy as np

from inference.audio import SAMPLING_RATE, rms_dbfs
from inference.errors import UserError

#: Digital silence is given this level, so that averages in dB stay finite.
SILENCE_DBFS = -100.0


class Detector(Protocol):
    """What the engine asks of a detector."""

    name: str
    frame_samples: int
    #: Utterances whose frames score less on average are no speech.
    least_mean_score: float
    #: So is what both detector and classifier doubt: the least mean score times the score of the label.
    least_joint_score: float

    def score(self, frame: np.ndarray) -> float:
        """Score of the next frame, float32 of shape ``(frame_samples,)`` at 16 kHz."""

    def reset(self) -> None:
        """Forgets the frames seen so far."""


class SileroDetector:
    """Silero VAD v6 through ONNX Runtime on one thread; frames of 512 samples (32 ms).

    The network is recurrent: each call is given the last 64 samples of the previous frame and the
    two state tensors that the previous call returned. Silence wears them out: of 48 clips of digits 25 were
    noticed after 31 s of digital silence, 45 after as much of a quiet room (noise at -80 dBFS). So in quiet
    the network now and then begins anew, from the last moments: all 48 are noticed.

    Args:
        path: The ONNX file; by default the one inside the installed faster-whisper package.

    Raises:
        UserError: If the file is not there.
    """

    name = "silero"
    frame_samples = 512
    # Notes and hums that pass the thresholds score 0.43 to 0.62 on average. Of 119 training clips of FSDD
    # none scores less than this, at 20 dB SNR or in silence; 0.55 would refuse one in fifteen in silence.
    least_mean_score = 0.45
    # Three hours of notes and chords score 0.33 at most with the MFCC machine; of 476 validation clips at
    # 20 dB SNR and in a quiet room one scores less than this.
    least_joint_score = 0.35
    _context_samples = 64
    # Silence before what comes; else the network has nothing to compare a word with that begins at once. Of
    # 240 training clips of FSDD, alone or strung together with 0.3 or 0.6 s of digital silence, 205 to 232
    # were answered right without it or with the words before in mind, 237 and 238 in this way.
    _silent_frames = 5
    # Quiet is what scores less than this; after 5 s of it the last quarter of a second is heard afresh. With
    # 0.1 and 2 s 66 notes in 36 minutes of noise and music passed for speech, with these 15, and 9 without.
    _least_score, _worn_frames, _recent_frames = 0.02, 155, 8

    def __init__(self, path: Path | None = None):
        path = path or find_silero()
        if path is None:
            raise UserError(
                "the Silero network was not found: it ships inside faster-whisper. Install it with "
                "'pip install faster-whisper', or choose --detector energy."
            )
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._input: np.ndarray
        self._hidden: np.ndarray
        self._cell: np.ndarray
        self._num_silent = 0
        self.reset()

    def score(self, frame: np.ndarray) -> float:
        """Probability that the next frame holds speech; ``frame`` is float32 of shape ``(512,)``."""
        score = self._run(frame)
        self._recent.append(frame.copy())
        self._num_silent = self._num_silent + 1 if score < self._least_score else 0
        if self._num_silent == self._worn_frames:
            self._forget()
            for recent in self._recent:
                self._run(recent)
            self._num_silent = 0
        return score

    def reset(self) -> None:
        """Forgets the frames seen so far, and hears a moment of silence."""
        self._recent: deque[np.ndarray] = deque(maxlen=self._recent_frames)
        self._num_silent = 0
        self._forget()
        for _ in range(self._silent_frames):
            self._run(np.zeros(self.frame_samples, np.float32))

    def _forget(self) -> None:
        self._input = np.zeros((1, self._context_samples + self.frame_samples), np.float32)
        self._hidden = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)

    def _run(self, frame: np.ndarray) -> float:
        self._input[0, self._context_samples :] = frame
        inputs = {"input": self._input, "h": self._hidden, "c": self._cell}
        probabilities, self._hidden, self._cell = self._session.run(None, inputs)
        self._input[0, : self._context_samples] = frame[-self._context_samples :]
        return float(probabilities.reshape(-1)[0])


class EnergyDetector:
    """Loudness above an adaptive noise floor; frames of 160 samples (10 ms).

    The score is linear in dB and meets the default thresholds at 9 dB (enter, 0.4) and 6 dB
    (leave, 0.35) above the floor. For quiet rooms: whatever rises above the floor is speech to it.
    """

    name = "energy"
    frame_samples = 160
    # Its scores are levels, no probabilities.
    least_mean_score = 0.0
    least_joint_score = 0.0
    score_at_enter, enter_db, db_per_score = 0.4, 9.0, 60.0

    def __init__(self) -> None:
        self.reset()

    def score(self, frame: np.ndarray) -> float:
        """How far the next frame rises above the floor; ``frame`` is float32 of shape ``(160,)``."""
        level_dbfs = rms_dbfs(frame)
        excess_db = level_dbfs - self._floor.dbfs
        self._floor.update(level_dbfs)
        return float(np.clip(self.score_at_enter + (excess_db - self.enter_db) / self.db_per_score, 0.0, 1.0))

    def reset(self) -> None:
        """Forgets the frames seen so far, the noise floor included."""
        self._floor = NoiseFloor(1000 * self.frame_samples / SAMPLING_RATE)


class NoiseFloor:
    """Follows the background level: down within 50 ms, up by at most 5 dB a second.

    In the first half second it rises ten times as fast, to learn the room before the first word.

    Args:
        frame_ms: Time between two updates.
    """

    initial_dbfs = -60.0
    rise_db_per_s = 5.0
    fall_ms = 50.0
    learning_ms = 500.0
    learning_factor = 10.0

    def __init__(self, frame_ms: float):
        self.dbfs = self.initial_dbfs
        self._rise_db = self.rise_db_per_s * frame_ms / 1000
        self._learning_frames = round(self.learning_ms / frame_ms)
        self._fall = min(1.0, frame_ms / self.fall_ms)

    def update(self, level_dbfs: float) -> None:
        """Takes the level of the next frame."""
        difference = max(level_dbfs, SILENCE_DBFS) - self.dbfs
        rise_db = self._rise_db * (self.learning_factor if self._learning_frames > 0 else 1.0)
        self._learning_frames -= 1
        self.dbfs += min(difference, rise_db) if difference > 0 else difference * self._fall


DETECTORS = ("silero", "energy")


def build_detector(name: str | None = None) -> Detector:
    """Builds a detector by name; by default Silero where its network is installed, else energy.

    Raises:
        UserError: If the name is unknown or the network is missing.
    """
    name = name or ("silero" if find_silero() else "energy")
    if name not in DETECTORS:
        raise UserError(f"unknown detector {name!r}; choose one of: {', '.join(DETECTORS)}.")
    return SileroDetector() if name == "silero" else EnergyDetector()


def find_silero() -> Path | None:
    """The network file inside the installed faster-whisper package, without importing the package."""
    spec = importlib.util.find_spec("faster_whisper")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or []:
        for path in sorted(Path(folder, "assets").glob("silero_vad*.onnx")):
            return path
    return None
