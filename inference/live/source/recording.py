"""Keeps what was heard in a file."""

import io
import tempfile
import wave
from collections.abc import Generator
from pathlib import Path

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.errors import UserError
from inference.live.source.items import Block, Item, Opening, Source


class RecordedSource(Source):
    """A source that writes what passes through it to a 16-bit WAV file.

    Microphones deliver 16-bit samples, so replaying the file gives the same events again. Missing
    samples are written as silence, to keep positions. A microphone that comes back at another rate
    goes on in a second file, and so does a recording that was stopped and started again.

    Args:
        source: What is recorded.
        path: The file.
        is_recording: Whether to begin at once, and not when ``toggle`` is called.

    Raises:
        UserError: If the file cannot be written.
    """

    def __init__(self, source: Source, path: str, is_recording: bool = True):
        self._source = source
        self._path = Path(path)
        self._is_recording = is_recording
        self._sampling_rate = 0
        self._num_files = 0
        self._writer: wave.Wave_write | None = None
        if is_recording:
            _check_file(self._path, f"--record {path}")

    def toggle(self) -> str:
        """Stops recording, or goes on in a new file from the next block; returns that file's path."""
        self._close()
        self._is_recording = not self._is_recording
        return str(self._next_path()) if self._is_recording else ""

    def rest(self) -> None:
        """Passed on."""
        self._source.rest()

    def stream(self) -> Generator[Item, None, None]:
        """Yields what the source yields."""
        items = self._source.stream()
        try:
            for item in items:
                if isinstance(item, Opening) and item.sampling_rate != self._sampling_rate:
                    self._close()
                    self._sampling_rate = item.sampling_rate
                    if self._is_recording:
                        self._open()
                elif isinstance(item, Block) and self._is_recording:
                    # The header is brought up to date with every block, so a killed session leaves
                    # a file that can be played.
                    self._open().writeframes(bytes(2 * item.missing) + to_int16(item.waveform))
                yield item
        finally:
            items.close()
            self._close()

    def _open(self) -> wave.Wave_write:
        if self._writer is None:
            self._writer = _open_wave(self._next_path(), self._sampling_rate)
            self._num_files += 1
        return self._writer

    def _close(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None

    def _next_path(self) -> Path:
        number = self._num_files + 1
        return self._path if number == 1 else self._path.with_stem(f"{self._path.stem}-{number}")


def to_int16(waveform: np.ndarray) -> bytes:
    """16-bit little-endian samples; exact for what was 16-bit before."""
    return np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype("<i2").tobytes()


def wave_bytes(waveform: np.ndarray) -> bytes:
    """A whole 16-bit WAV file at 16 kHz; ``waveform`` has shape ``(num_samples,)``."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, SAMPLING_RATE, 0, "NONE", "not compressed"))
        writer.writeframes(to_int16(waveform))
    return file.getvalue()


def _open_wave(path: Path, sampling_rate: int) -> wave.Wave_write:
    try:
        # The wave module, left to find out by itself, complains a second time when its writer is deleted.
        path.open("wb").close()
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    writer = wave.open(str(path), "wb")  # noqa: SIM115 (the caller closes it)
    writer.setparams((1, 2, sampling_rate, 0, "NONE", "not compressed"))
    return writer


def _check_file(path: Path, option: str) -> None:
    check_folder(path.parent, option)
    try:
        if path.is_dir():
            raise UserError(f"{option} is a folder, expected a file to write, like {path / 'session.wav'}")
        if path.exists():
            if not path.is_file():
                raise UserError(f"{option} is a device or a pipe, expected a file to write.")
            path.open("ab").close()
    except OSError as error:
        raise _cannot_be_written(option, error) from error


def check_folder(folder: Path, option: str) -> None:
    """Makes the folder if need be, and a file in it: permissions alone do not tell."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_be_written(option, error) from error


def _cannot_be_written(option: str, error: OSError) -> UserError:
    return UserError(f"{option} cannot be written ({error.strerror}), expected a place you may write to.")
