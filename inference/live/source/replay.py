"""A recording as a source: any format FFmpeg reads, any length, in bounded memory."""

import os
import time
from collections.abc import Generator, Iterator

import numpy as np

from inference.audio import open_recording
from inference.live.source.items import Block, Item, Opening, Source

BLOCK_MS = 10


class Replay(Source):
    """Plays a file into the engine.

    Args:
        path: The audio file.
        speed: 1 for real time, 0 for as fast as possible.

    Raises:
        AudioError: If the file is missing or holds no audio that FFmpeg can read.
    """

    def __init__(self, path: str, speed: int = 0):
        # What is wrong is told before a model is loaded; a pipe can be opened only once.
        if os.path.isfile(path) or not os.path.exists(path):
            with open_recording(path):
                pass
        self._path = path
        self._speed = speed

    def stream(self) -> Generator[Item, None, None]:
        """Yields the opening and then blocks of 10 ms.

        Raises:
            AudioError: If a part of the file cannot be used.
        """
        with open_recording(self._path) as (sampling_rate, pieces):
            yield Opening(self._path, sampling_rate)
            yield from self._paced(_blocks(pieces, sampling_rate), sampling_rate)

    def _paced(self, waveforms: Iterator[np.ndarray], sampling_rate: int) -> Iterator[Block]:
        started = time.perf_counter()
        num_samples = 0
        for waveform in waveforms:
            num_samples += waveform.size
            if self._speed:
                # The block exists once its last sample was spoken.
                due = started + num_samples / sampling_rate / self._speed
                time.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            yield Block(waveform, captured_at=due if self._speed else now, delivered_at=now)


def _blocks(pieces: Iterator[np.ndarray], sampling_rate: int) -> Iterator[np.ndarray]:
    size = sampling_rate * BLOCK_MS // 1000
    pending = np.zeros(0, np.float32)
    for piece in pieces:
        pending = np.concatenate([pending, piece])
        whole = pending.size - pending.size % size
        for first in range(0, whole, size):
            yield pending[first : first + size]
        pending = pending[whole:]
    if pending.size:
        yield pending
