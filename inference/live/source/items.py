"""What a source of audio yields, be it a microphone or a recording."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

#: An idle engine decides nothing for longer than this, whatever comes: an onset has to be confirmed and the
#: hangover to pass. Waking up less often halves what listening to silence costs.
REST_SECONDS = 0.096


@dataclass(frozen=True)
class Opening:
    """Audio is about to flow, for the first time or after a ``Loss``."""

    name: str
    sampling_rate: int


@dataclass(frozen=True)
class Block:
    """Consecutive audio.

    Attributes:
        waveform: Float32 of shape ``(num_samples,)`` at the rate of the last ``Opening``.
        captured_at: ``time.perf_counter()`` at which its last sample was at the microphone.
        delivered_at: The same clock, when the sound system handed the block over.
        missing: Samples lost just before it.
        overflowed: Whether the sound system flagged a loss of unknown length before it.
    """

    waveform: np.ndarray
    captured_at: float
    delivered_at: float
    missing: int = 0
    overflowed: bool = False


@dataclass(frozen=True)
class Loss:
    """The source stopped delivering audio and may come back."""

    reason: str


@dataclass(frozen=True)
class Waiting:
    """Nothing came for a moment; a session can look at its keys."""


Item = Opening | Block | Loss | Waiting


class Source(Protocol):
    """Anything that yields audio."""

    def stream(self) -> Generator[Item, None, None]:
        """Yields an ``Opening``, then blocks; closing the iterator releases the device or file."""
        ...

    def rest(self) -> None:
        """Says that the next item may come ``REST_SECONDS`` late."""
        return
