"""The latest seconds of a stream, addressed by sample position."""

import numpy as np


class History:
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
