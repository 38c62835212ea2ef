"""The audio border: any audio source becomes one mono float32 waveform at 16 kHz.

Nothing below this file knows of files, sampling rates or channels. FFmpeg (through torchcodec)
decodes every format; plain 16-bit WAV and FLAC take a direct path through libsndfile, which gives
the same samples bit for bit without loading torch. soxr is the only resampler:
fast, band-limited, with a stateful form for streams.
"""

import hashlib
import io
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

from inference.errors import AudioError

SAMPLING_RATE = 16_000
MIN_SECONDS = 0.1
#: A spoken digit lasts under a second; half a minute leaves room for careless recordings.
MAX_SECONDS = 30.0
#: Decoders and resamplers may overshoot full scale slightly; anything beyond is another scale.
MAX_AMPLITUDE = 2.0
#: Read from a pipe or device at most; a minute of uncompressed stereo at 48 kHz and 32 bit fits.
MAX_STREAM_BYTES = 32 * 2**20

AudioSource = str | PathLike[str] | bytes | BinaryIO


def decode_audio(source: AudioSource, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Decodes a path, bytes or an open binary file in any format that FFmpeg reads.

    Channels are averaged.

    Args:
        source: Path, encoded bytes or file object.
        max_seconds: Longest audio to accept; no more than this is ever decoded.

    Returns:
        Float32 waveform of shape ``(num_samples,)`` at ``SAMPLING_RATE``, checked by
        ``check_waveform``.

    Raises:
        AudioError: If the source is missing, no audio, empty, too short or too long.
    """
    name = describe_source(source)
    encoded = _readable(source, name)
    # One second more than allowed is enough to see that the audio is too long.
    samples, rate = _decode_pcm(encoded, max_seconds + 1.0) or _decode_ffmpeg(
        encoded, max_seconds + 1.0, name
    )
    waveform = resample(samples.mean(axis=0, dtype=np.float32), rate, SAMPLING_RATE)
    # Lossy decoders overshoot full scale on loud audio; the contract is [-1, 1].
    waveform = np.clip(waveform, -1.0, 1.0)
    return check_waveform(waveform, name=name, max_seconds=max_seconds)


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resamples a mono waveform of shape ``(num_samples,)`` with a band-limited filter."""
    if from_hz == to_hz or waveform.size == 0:
        return waveform.astype(np.float32, copy=False)
    return soxr.resample(waveform, from_hz, to_hz).astype(np.float32, copy=False)


def check_waveform(
    waveform: Any,
    sampling_rate: int = SAMPLING_RATE,
    name: str = "the waveform",
    max_seconds: float = MAX_SECONDS,
) -> np.ndarray:
    """Refuses what no backend should be asked to recognise.

    Args:
        waveform: What is to be recognised.
        sampling_rate: Its rate as the caller knows it, in Hz.
        name: What to call it in messages.
        max_seconds: Longest duration to accept.

    Returns:
        The same array, when it is float32, mono, finite, in [-1, 1] and of a sensible duration.

    Raises:
        AudioError: With what was received and how to convert it.
    """
    if sampling_rate != SAMPLING_RATE:
        raise AudioError(
            f"{name} is at {sampling_rate} Hz, expected {SAMPLING_RATE} Hz: "
            f"use inference.audio.resample(waveform, {sampling_rate}, {SAMPLING_RATE})."
        )
    if not isinstance(waveform, np.ndarray):
        raise AudioError(
            f"{name} is a {type(waveform).__name__}, expected a numpy float32 array of shape (num_samples,)."
        )
    if waveform.ndim != 1:
        raise AudioError(
            f"{name} has shape {waveform.shape}, expected mono (num_samples,): average the "
            "channels first, for example waveform.mean(axis=channel_axis)."
        )
    if waveform.dtype != np.float32:
        hint = (
            f"divide by {np.iinfo(waveform.dtype).max + 1} and convert"
            if np.issubdtype(waveform.dtype, np.integer)
            else "convert"
        )
        raise AudioError(f"{name} is {waveform.dtype}, expected float32 in [-1, 1]: {hint}.")
    if waveform.size == 0:
        raise AudioError(f"{name} is empty, expected at least {MIN_SECONDS} s of audio.")
    seconds = waveform.size / SAMPLING_RATE
    if seconds < MIN_SECONDS:
        raise AudioError(f"{name} lasts {seconds:.3f} s, expected at least {MIN_SECONDS} s.")
    if seconds > max_seconds:
        raise AudioError(
            f"{name} lasts more than {max_seconds:g} s, expected one spoken digit: cut it, or feed "
            "it to the live engine: python -m inference.live --replay FILE"
        )
    if not np.isfinite(waveform).all():
        raise AudioError(f"{name} holds NaN or infinite samples, expected finite values.")
    peak = float(np.abs(waveform).max())
    if peak > MAX_AMPLITUDE:
        raise AudioError(
            f"{name} reaches {peak:g}, expected float32 in [-1, 1]: it looks like integer samples "
            "that were not divided by full scale (32768 for 16 bit)."
        )
    return waveform


def rms_dbfs(waveform: np.ndarray) -> float:
    """Level of a waveform in dB relative to full scale (RMS 1.0 = 0 dBFS); silence is -inf."""
    mean_square = float(np.mean(np.square(waveform, dtype=np.float64))) if waveform.size else 0.0
    return 10.0 * float(np.log10(mean_square)) if mean_square > 0.0 else float("-inf")


def waveform_hash(waveform: np.ndarray) -> str:
    """First 16 hex digits of the SHA-256 of the float32 samples: tells one recording under two names."""
    content = np.ascontiguousarray(waveform, dtype=np.float32).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def describe_source(source: AudioSource) -> str:
    """Names an audio source for a message: its path, or what kind of object it is."""
    if isinstance(source, (str, PathLike)):
        return str(source)
    if isinstance(source, bytes):
        return f"the {len(source)} bytes received"
    return str(getattr(source, "name", "the file object"))


def _readable(source: AudioSource, name: str) -> Path | bytes:
    """Checks that a source exists and is not empty; file objects are read into memory."""
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        try:
            if path.is_dir():
                raise AudioError(f"{name} is a folder, expected an audio file.")
            if not path.is_file():  # a pipe, as a shell's <(...) is one; FFmpeg would want to seek in it
                return _readable(_read_stream(path), name)
            with path.open("rb") as file:
                if not file.read(1):
                    raise AudioError(f"{name} is an empty file (0 bytes).")
            if not _is_text(name):  # libraries want names that are valid text
                return path.read_bytes()
        except FileNotFoundError:
            raise AudioError(f"{name} does not exist.") from None
        except OSError as error:
            raise AudioError(f"{name} cannot be read: {error.strerror}.") from error
        return path
    encoded = source if isinstance(source, bytes) else source.read()
    if not isinstance(encoded, bytes):
        raise AudioError(f"{name} gives {type(encoded).__name__}, expected bytes: open it with mode 'rb'.")
    if not encoded:
        raise AudioError(f"{name} holds 0 bytes, expected an encoded audio file.")
    return encoded


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_stream(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_STREAM_BYTES)


def _decode_pcm(encoded: Path | bytes, max_seconds: float) -> tuple[np.ndarray, int] | None:
    """Reads 16-bit WAV or FLAC; None for whatever is better left to FFmpeg.

    Returns:
        Samples of shape ``(num_channels, num_samples)`` and their rate in Hz.
    """
    try:
        with soundfile.SoundFile(encoded if isinstance(encoded, Path) else io.BytesIO(encoded)) as file:
            if file.format not in ("WAV", "FLAC") or file.subtype != "PCM_16":
                return None
            frames = file.read(int(max_seconds * file.samplerate), dtype="float32", always_2d=True)
            return frames.T, file.samplerate
    except soundfile.SoundFileError:
        return None


def _decode_ffmpeg(encoded: Path | bytes, max_seconds: float, name: str) -> tuple[np.ndarray, int]:
    """Decodes anything that FFmpeg reads; shapes as ``_decode_pcm``."""
    decoder_class = _import_decoder()
    try:
        decoder = decoder_class(encoded)
    except (RuntimeError, ValueError, TypeError) as error:
        raise AudioError(f"{name} is not audio that FFmpeg can read: {_first_line(error)}") from error
    try:
        samples = decoder.get_samples_played_in_range(0.0, max_seconds)
    except RuntimeError as error:
        raise AudioError(f"{name} could not be decoded: {_first_line(error)}") from error
    return samples.data.numpy(), samples.sample_rate


def _import_decoder() -> Any:
    # Imported on first use: torchcodec brings torch, and --help must stay light.
    try:
        from torchcodec.decoders import AudioDecoder
    except (ImportError, RuntimeError, OSError) as error:
        raise AudioError(
            "torchcodec could not load FFmpeg's libraries. Install FFmpeg: "
            "'sudo apt-get install ffmpeg' on Debian or Ubuntu, 'brew install ffmpeg' on macOS, "
            "'conda install -c conda-forge ffmpeg' elsewhere."
        ) from error
    return AudioDecoder


def _first_line(error: Exception) -> str:
    """The part of a torchcodec message that a person can use: the text after the source location."""
    lines = str(error).strip().splitlines()
    line = lines[0] if lines else type(error).__name__
    return line.rsplit(".cpp:", 1)[-1].partition(", ")[2] or line
