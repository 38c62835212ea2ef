"""A recording as a source: any format FFmpeg reads, any length, in bounded memory."""

import itertools
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import AudioError
from inference.live.source.items import Block, Item, Opening, Source

BLOCK_MS = 10


class Replay(Source):
    """Plays a file into the engine.

    PyAV decodes it piece by piece; the audio border decodes whole clips and would hold a
    recording of hours in memory.

    Args:
        path: The audio file.
        speed: 1 for real time, 0 for as fast as possible.

    Raises:
        AudioError: If there is no such file, or it cannot be looked at.
    """

    def __init__(self, path: str, speed: int = 0):
        try:
            is_file = Path(path).is_file()
        except OSError as error:
            raise AudioError(f"{path} cannot be read: {error.strerror}.") from error
        if not is_file:
            raise AudioError(f"{path} does not exist or is no file, expected an audio file to replay.")
        self._path = path
        self._speed = speed

    def stream(self) -> Generator[Item, None, None]:
        """Yields the opening and then blocks of 10 ms.

        Raises:
            AudioError: If the file holds no audio that FFmpeg can read.
        """
        import av

        try:
            with av.open(self._path) as container:
                if not container.streams.audio:
                    raise AudioError(f"{self._path} holds no audio stream.")
                audio = container.streams.audio[0]
                # A damaged header may give any rate; a block needs one sample at least.
                if not audio.rate or audio.rate < 1000 // BLOCK_MS:
                    raise AudioError(f"{self._path} is damaged: it gives {audio.rate} Hz as sampling rate.")
                yield Opening(self._path, audio.rate)
                yield from self._paced(_blocks(_decode(container, audio), audio.rate), audio.rate)
        except av.FFmpegError as error:
            raise AudioError(f"{self._path} is not audio that FFmpeg can read: {error.strerror}") from error

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


def _decode(container: Any, audio: Any) -> Iterator[np.ndarray]:
    """Mono float32 pieces of whatever length the codec gives."""
    import av

    to_float = av.AudioResampler(format="fltp", rate=audio.rate)
    for frame in itertools.chain(container.decode(audio), [None]):
        for piece in to_float.resample(frame):
            yield piece.to_ndarray().mean(axis=0, dtype=np.float32)


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
