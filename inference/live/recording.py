"""Keeps what was heard: the whole stream as one file, or each utterance as its own."""

import tempfile
import wave
from collections.abc import Generator
from pathlib import Path

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.errors import UserError
from inference.live.events import Answer, Event, Utterance
from inference.live.sources import Block, Loss, Opening, Source


class RecordedSource:
    """A source that writes what passes through it to a 16-bit WAV file.

    Microphones deliver 16-bit samples, so replaying the file gives the same events again. Missing
    samples are written as silence, to keep positions. A microphone that comes back at another rate
    goes on in a second file.

    Args:
        source: What is recorded.
        path: The file.

    Raises:
        UserError: If the file cannot be written.
    """

    def __init__(self, source: Source, path: str):
        self._source = source
        self._path = Path(path)
        self._sampling_rate = 0
        self._openings = 0
        _check_file(self._path, f"--record {path}")

    def stream(self) -> Generator[Opening | Block | Loss, None, None]:
        """Yields what the source yields."""
        writer: wave.Wave_write | None = None
        items = self._source.stream()
        try:
            for item in items:
                if isinstance(item, Opening) and item.sampling_rate != self._sampling_rate:
                    if writer:
                        writer.close()
                    writer = self._open(item.sampling_rate)
                elif isinstance(item, Block) and writer:
                    # The header is brought up to date with every block, so a killed session leaves
                    # a file that can be played.
                    writer.writeframes(bytes(2 * item.missing) + to_int16(item.waveform))
                yield item
        finally:
            items.close()
            if writer:
                writer.close()

    def _open(self, sampling_rate: int) -> wave.Wave_write:
        self._sampling_rate = sampling_rate
        self._openings += 1
        path = self._path
        if self._openings > 1:
            path = path.with_stem(f"{path.stem}-{self._openings}")
        return _open_wave(path, sampling_rate)


class UtteranceFolder:
    """An output that writes each utterance as the backend was given it, with the answer in its name.

    Args:
        folder: Made if it is not there; files are called like ``000012_7.wav`` or
            ``000013_low_score.wav``.

    Raises:
        UserError: If the folder cannot be written.
    """

    def __init__(self, folder: str):
        self._folder = Path(folder)
        _check_folder(self._folder, f"--record-utterances {folder}")
        self._waveform = np.zeros(0, np.float32)

    def show(self, event: Event) -> None:
        """Writes an utterance once its answer is known."""
        if isinstance(event, Utterance):
            self._waveform = event.waveform
        elif isinstance(event, Answer):
            name = f"{event.id:06}_{event.reason if event.digit is None else event.digit}.wav"
            with _open_wave(self._folder / name, SAMPLING_RATE) as writer:
                writer.writeframes(to_int16(self._waveform))


def to_int16(waveform: np.ndarray) -> bytes:
    """16-bit little-endian samples; exact for what was 16-bit before."""
    return np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype("<i2").tobytes()


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
    _check_folder(path.parent, option)
    try:
        if path.is_dir():
            raise UserError(f"{option} is a folder, expected a file to write, like {path / 'session.wav'}")
        if path.exists():
            if not path.is_file():
                raise UserError(f"{option} is a device or a pipe, expected a file to write.")
            path.open("ab").close()
    except OSError as error:
        raise _cannot_be_written(option, error) from error


def _check_folder(folder: Path, option: str) -> None:
    """Makes the folder if need be, and a file in it: permissions alone do not tell."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_be_written(option, error) from error


def _cannot_be_written(option: str, error: OSError) -> UserError:
    return UserError(f"{option} cannot be written ({error.strerror}), expected a place you may write to.")
