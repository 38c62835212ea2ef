"""When the engine listens: always, or between a key's press and its release."""

import collections

from inference.audio import SAMPLING_RATE

#: People press a key when they begin to speak, and release it while they finish.
BEFORE_MS = 200
AFTER_MS = 150


class Gate:
    """Lets frames through to the endpointer while it is open.

    Opening lets the latest ``BEFORE_MS`` through as well; closing takes effect ``AFTER_MS`` later.

    Args:
        frame_samples: Samples per frame at 16 kHz.
        is_open: Whether it is open from the start.
    """

    def __init__(self, frame_samples: int, is_open: bool = True):
        per_frame_ms = 1000 * frame_samples / SAMPLING_RATE
        self._after_frames = round(AFTER_MS / per_frame_ms)
        self._held: collections.deque[tuple[float, int]] = collections.deque(
            maxlen=round(BEFORE_MS / per_frame_ms)
        )
        self.is_open = is_open
        self._frames_left: int | None = None

    def open(self) -> None:
        """Lets frames through from now on."""
        self.is_open = True
        self._frames_left = None

    def close(self) -> None:
        """Stops letting frames through, a moment from now."""
        if self.is_open and self._frames_left is None:
            self._frames_left = self._after_frames

    def push(self, score: float, position: int) -> list[tuple[float, int]]:
        """Takes a frame's score and position; returns those to endpoint now, in order."""
        if not self.is_open:
            self._held.append((score, position))
            return []
        if self._frames_left is not None:
            self._frames_left -= 1
            self.is_open = self._frames_left > 0
        frames = [*self._held, (score, position)]
        self._held.clear()
        return frames

    def forget(self) -> None:
        """Drops what is held: it does not adjoin the frames to come."""
        self._held.clear()
