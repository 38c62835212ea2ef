"""The crop contract: which stretch of audio around a detected word a backend wants to be given.

Training, files and the live microphone cut with this one function, because the crop decides more
than the classifier: a model trained on tight clips loses tens of points when it is served audio
with half a second of room noise around the word.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inference.audio import SAMPLING_RATE

#: Fields of older ``crop.json`` files, and the one value that each may have.
_FORMER_FIELDS = {"normalise": "none", "sampling_rate": SAMPLING_RATE}


@dataclass(frozen=True)
class CropContract:
    """What a backend declares about the audio it was trained on; stored as ``crop.json``.

    Attributes:
        pre_ms: Audio kept before the detected onset, in milliseconds.
        post_ms: Audio kept after the last speech frame, in milliseconds.
        min_ms: Shorter crops are padded with silence at the end to this duration.
    """

    pre_ms: int = 160
    post_ms: int = 60
    min_ms: int = 250

    def __post_init__(self) -> None:
        if min(self.pre_ms, self.post_ms, self.min_ms) < 0:
            raise ValueError(f"crop contract with a negative duration: {asdict(self)}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CropContract":
        """Builds a contract from the content of ``crop.json``.

        Raises:
            TypeError: If it holds unknown keys.
            ValueError: If a value is impossible, or was possible in older versions only.
        """
        values = {**values}
        for name, allowed in _FORMER_FIELDS.items():
            if (found := values.pop(name, allowed)) != allowed:
                raise ValueError(
                    f"{name} is {found!r}, and only {allowed!r} is allowed; make the model again."
                )
        return cls(**values)


def crop(waveform: np.ndarray, start: int, end: int, contract: CropContract, earliest: int = 0) -> np.ndarray:
    """Cuts one utterance out of a longer waveform as the contract asks.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        start: First sample of detected speech.
        end: First sample after the detected speech.
        contract: The backend's declaration.
        earliest: The crop never starts before this sample (the end of the previous utterance).

    Returns:
        Float32 waveform of shape ``(num_samples,)``, at least ``min_ms`` long.
    """
    per_ms = SAMPLING_RATE // 1000
    first = max(start - contract.pre_ms * per_ms, earliest, 0)
    last = min(end + contract.post_ms * per_ms, waveform.size)
    return prepare(waveform[first:last], contract)


def prepare(waveform: np.ndarray, contract: CropContract) -> np.ndarray:
    """Applies the part of the contract that needs no detected bounds: the least duration."""
    missing = contract.min_ms * SAMPLING_RATE // 1000 - waveform.size
    return np.pad(waveform, (0, missing)) if missing > 0 else waveform
