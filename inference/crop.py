"""The crop contract: which stretch of audio around a detected word a backend wants to be given.

Training, files and the live microphone cut with this one function, because the crop decides more
than the classifier: a model trained on tight clips loses tens of points when it is served audio
with half a second of room noise around the word.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inference.audio import SAMPLING_RATE

#: RMS level that ``normalise="rms"`` brings a crop to, and the most it amplifies.
TARGET_DBFS = -26.0
MAX_GAIN_DB = 30.0


@dataclass(frozen=True)
class CropContract:
    """What a backend declares about the audio it was trained on; stored as ``crop.json``.

    Attributes:
        pre_ms: Audio kept before the detected onset, in milliseconds.
        post_ms: Audio kept after the last speech frame, in milliseconds.
        min_ms: Shorter crops are padded with silence at the end to this duration.
        normalise: ``"none"``, or ``"rms"`` to bring the level to ``TARGET_DBFS``.
        sampling_rate: Rate of the waveform handed over, in Hz.
    """

    pre_ms: int = 160
    post_ms: int = 60
    min_ms: int = 250
    normalise: str = "none"
    sampling_rate: int = SAMPLING_RATE

    def __post_init__(self) -> None:
        if min(self.pre_ms, self.post_ms, self.min_ms) < 0:
            raise ValueError(f"crop contract with a negative duration: {asdict(self)}")
        if self.normalise not in ("none", "rms"):
            raise ValueError(f"normalise={self.normalise!r}, expected 'none' or 'rms'")
        if self.sampling_rate != SAMPLING_RATE:
            raise ValueError(f"sampling_rate={self.sampling_rate}, expected {SAMPLING_RATE}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CropContract":
        """Builds a contract from the content of ``crop.json``; unknown keys raise TypeError."""
        return cls(**values)


def crop(waveform: np.ndarray, start: int, end: int, contract: CropContract, earliest: int = 0) -> np.ndarray:
    """Cuts one utterance out of a longer waveform as the contract asks.

    Args:
        waveform: Shape ``(num_samples,)`` at the contract's rate.
        start: First sample of detected speech.
        end: First sample after the detected speech.
        contract: The backend's declaration.
        earliest: The crop never starts before this sample (the end of the previous utterance).

    Returns:
        Float32 waveform of shape ``(num_samples,)``, at least ``min_ms`` long.
    """
    per_ms = contract.sampling_rate // 1000
    first = max(start - contract.pre_ms * per_ms, earliest, 0)
    last = min(end + contract.post_ms * per_ms, waveform.size)
    return prepare(waveform[first:last], contract)


def prepare(waveform: np.ndarray, contract: CropContract) -> np.ndarray:
    """Applies the parts of the contract that need no detected bounds: level and least duration."""
    if contract.normalise == "rms":
        waveform = _normalise_rms(waveform)
    missing = contract.min_ms * contract.sampling_rate // 1000 - waveform.size
    return np.pad(waveform, (0, missing)) if missing > 0 else waveform


def _normalise_rms(waveform: np.ndarray) -> np.ndarray:
    rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) if waveform.size else 0.0
    if rms == 0.0:
        return waveform
    gain = min(10 ** (TARGET_DBFS / 20) / rms, 10 ** (MAX_GAIN_DB / 20))
    return np.clip(waveform * np.float32(gain), -1.0, 1.0)
