"""The audio border: any audio source becomes mono float32 waveforms.

Nothing below this file knows of files, codecs, sampling rates or channels; files, bytes, corpora, long
recordings and replay all come through it. One decoder reads them: FFmpeg through PyAV, packet by packet
from the first to the last. Time stamps are not looked at, because a decoder that goes by them (torchcodec's
ranges do) loses audio that has none, as ADPCM in WAV, or whose first is not 0. PyAV brings FFmpeg along
and needs no torch. Whole clips of plain 16-bit WAV and FLAC take a direct path through libsndfile, which
gives the same samples bit for bit in a tenth of the time. soxr is the only resampler: fast, band-limited,
with a stateful form for streams.
"""

import contextlib
import hashlib
import io
import itertools
import logging
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
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
#: What float samples with whole numbers are divided by: sound of 16 bits that was only converted.
FULL_SCALE_16_BIT = 32_768
#: Read from a pipe or device at most; a minute of uncompressed stereo at 48 kHz and 32 bit fits.
MAX_STREAM_BYTES = 32 * 2**20
#: Channels cancel each other where their mean has less than this share of the power that the mean of
#: unrelated channels would have. Two of equal loudness do so when they correlate by less than -0.9.
CANCELLED_SHARE = 0.1
#: A damaged header may give any rate.
SAMPLING_RATES = range(100, 10_000_000)

AudioSource = str | PathLike[str] | bytes | BinaryIO
_logger = logging.getLogger(__name__)
_collected: ContextVar[list[str] | None] = ContextVar("warnings", default=None)


def decode_audio(source: AudioSource, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Decodes a path, bytes or an open binary file in any format that FFmpeg reads.

    Channels are averaged, see ``Downmix``.

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
    # One second more than allowed is enough to see that the audio is too long.
    most_seconds = max_seconds + 1.0
    with _opened(source, name, whole=True) as file:
        waveform, rate = _read_pcm(file, most_seconds, name) or _read_ffmpeg(file, most_seconds, name)
    waveform = check_waveform(resample(waveform, rate, SAMPLING_RATE), name=name, max_seconds=max_seconds)
    # Lossy decoders overshoot full scale on loud audio; the contract is [-1, 1].
    return np.clip(waveform, -1.0, 1.0)


def read_waveform(audio: AudioSource | np.ndarray, sampling_rate: int | None = None) -> np.ndarray:
    """What backends take, of a file or of samples.

    Args:
        audio: As for ``decode_audio``, or an array of shape ``(num_samples,)`` in [-1, 1].
        sampling_rate: Of an array, in Hz; files bring their own.

    Returns:
        As ``decode_audio`` does.

    Raises:
        AudioError: If the audio cannot be used, with what was received and what to give instead.
    """
    if isinstance(audio, np.ndarray) != (sampling_rate is not None) or sampling_rate == 0:
        raise AudioError(
            f"{type(audio).__name__} with sampling_rate={sampling_rate}: an array of samples comes with its "
            "rate in Hz, as in recognise(samples, 16000), and a file without, as in recognise('seven.wav')."
        )
    if not isinstance(audio, np.ndarray):
        is_source = isinstance(audio, (str, PathLike, bytes)) or hasattr(audio, "read")
        return decode_audio(audio) if is_source else check_waveform(audio)
    if sampling_rate and audio.ndim == 1 and np.issubdtype(audio.dtype, np.floating):
        audio = resample(audio, sampling_rate, SAMPLING_RATE)
    return check_waveform(audio)


@contextlib.contextmanager
def open_recording(source: AudioSource) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
    """Opens a recording of any length, to be read piece by piece in bounded memory.

    Args:
        source: As for ``decode_audio``.

    Yields:
        The sampling rate in Hz, and an iterator of mono float32 waveforms ``(num_samples,)`` at that rate.

    Raises:
        AudioError: If the source is missing or holds no audio that FFmpeg can read; also while iterating.
    """
    name = describe_source(source)
    with _opened(source, name, whole=False) as file, _decoded(file, name) as (rate, pieces):
        yield rate, pieces


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collects what is said, beside the log, of audio read inside that had to be mended."""
    collected: list[str] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


class Downmix:
    """Makes one channel of several: their mean, or the loudest where they cancel each other.

    A channel that is inverted, as by a wrongly wired cable, leaves nothing in the mean. Whether that is
    so is decided on everything heard so far.

    Args:
        name: What to call the audio in the log, where the loudest channel is taken.
    """

    def __init__(self, name: str):
        self._name = name
        self._mean_energy = 0.0
        self._energies = np.zeros(1)
        self._said = False

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Takes the next float32 samples ``(num_channels, num_samples)``; returns ``(num_samples,)``."""
        num_channels = samples.shape[0]
        if num_channels == 1:
            return samples[0]
        mean = samples.mean(axis=0, dtype=np.float32)
        if self._energies.size != num_channels:
            self._mean_energy, self._energies = 0.0, np.zeros(num_channels)
        self._mean_energy += float(np.einsum("i,i->", mean, mean, dtype=np.float64))
        self._energies += np.einsum("ij,ij->i", samples, samples, dtype=np.float64)
        if not self._mean_energy < CANCELLED_SHARE * self._energies.sum() / num_channels**2:
            return mean
        if not self._said:
            _warn(self._name, "its channels cancel each other; the loudest one is taken")
            self._said = True
        return samples[int(self._energies.argmax())]


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
    _check_range(waveform, name)
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


@contextlib.contextmanager
def _opened(source: AudioSource, name: str, whole: bool) -> Iterator[BinaryIO]:
    """The open file behind a source; what cannot be read twice is kept in memory if it is wanted whole."""
    with _open(source, name) as file:
        if not file.seekable():  # a pipe, as a shell's <(...) is one
            yield io.BytesIO(file.read(MAX_STREAM_BYTES)) if whole else file
            return
        if not file.read(1):
            raise AudioError(f"{name} is empty (0 bytes), expected an encoded audio file.")
        file.seek(0)
        yield file


def _open(source: AudioSource, name: str) -> BinaryIO:
    """Opens a path for the libraries, to which its name may be no valid text, or an address."""
    if isinstance(source, (str, PathLike)):
        try:
            if Path(source).is_dir():
                raise AudioError(f"{name} is a folder, expected an audio file.")
            return open(source, "rb")
        except FileNotFoundError:
            raise AudioError(f"{name} does not exist.") from None
        except (OSError, ValueError) as error:
            raise AudioError(f"{name} cannot be read: {_reason(error)}.") from error
    encoded = source if isinstance(source, bytes) else source.read()
    if not isinstance(encoded, bytes):
        raise AudioError(f"{name} gives {type(encoded).__name__}, expected bytes: open it with mode 'rb'.")
    return io.BytesIO(encoded)


def _read_pcm(file: BinaryIO, most_seconds: float, name: str) -> tuple[np.ndarray, int] | None:
    """Reads 16-bit WAV or FLAC; None for whatever is better left to FFmpeg.

    Returns:
        Mono waveform of shape ``(num_samples,)`` and its rate in Hz.
    """
    try:
        with soundfile.SoundFile(_SoundFileInput(file)) as opened:
            rate = opened.samplerate
            if opened.format not in ("WAV", "FLAC") or opened.subtype != "PCM_16":
                return None
            if rate not in SAMPLING_RATES:
                return None
            samples = opened.read(int(most_seconds * rate), dtype="float32", always_2d=True)
    except soundfile.SoundFileError:
        return None
    # A recorder that died leaves a header that speaks of no samples, although they follow.
    return (Downmix(name)(samples.T), rate) if samples.size else None


class _SoundFileInput:
    """What soundfile asks of a file; a damaged header may ask for a place before its beginning.

    An exception would not reach us: soundfile prints it and goes on.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.seek(offset, whence)


def _read_ffmpeg(file: BinaryIO, most_seconds: float, name: str) -> tuple[np.ndarray, int]:
    """Decodes anything that FFmpeg reads, as far as asked; returns what ``_read_pcm`` does."""
    file.seek(0)
    taken: list[np.ndarray] = []
    with _decoded(file, name) as (rate, pieces):
        most = missing = int(most_seconds * rate)
        for piece in pieces:
            taken.append(piece)
            missing -= piece.size
            if missing <= 0:
                break
    return np.concatenate(taken)[:most], rate


@contextlib.contextmanager
def _decoded(file: BinaryIO, name: str) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
    """The rate of the best audio stream and its mono pieces, as long as the context is open."""
    import av  # on first use: --help must stay light

    with _errors_explained(name):
        # A playlist is no recording: nothing may be opened beside the file itself.
        container = av.open(file, metadata_errors="replace", options={"protocol_whitelist": "none"})
    with container:
        with _errors_explained(name):
            stream = container.streams.best("audio")
            if stream is None:
                raise AudioError(f"{name} holds no audio stream.")
            frames = _frames(container, stream, name)
            first = next(frames, None)
        if first is None:
            raise AudioError(f"{name} is empty, expected at least {MIN_SECONDS} s of audio.")
        if first.sample_rate not in SAMPLING_RATES:
            raise AudioError(f"{name} is damaged: it gives {first.sample_rate} Hz as sampling rate.")
        is_float = stream.codec_context.name.startswith("pcm_f")
        yield (
            first.sample_rate,
            _mono(itertools.chain([first], frames), first.sample_rate, is_float, name),
        )


def _frames(container: Any, stream: Any, name: str) -> Iterator[Any]:
    """The stream's decoded frames; damaged packets are left out, as FFmpeg's own program does."""
    import av

    packets = container.demux(stream)
    num_damaged = num_frames = 0
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            frames = packet.decode()
        except av.FFmpegError as error:
            damage = error
            num_damaged += 1
            continue
        num_frames += len(frames)
        yield from frames
    if num_damaged and not num_frames:
        raise damage
    if num_damaged:
        _warn(name, f"{num_damaged} damaged packets are left out ({_reason(damage)})")


def _mono(frames: Iterable[Any], sampling_rate: int, is_float: bool, name: str) -> Iterator[np.ndarray]:
    """Frames as mono waveforms at one rate; a few streams change theirs on the way."""
    downmix, rescale = Downmix(name), _WholeNumbers(name)
    with _errors_explained(name):
        for frame in frames:
            samples = _samples(frame)
            waveform = downmix(rescale(samples) if is_float else samples)
            _check_range(waveform, name)
            yield resample(waveform, frame.sample_rate, sampling_rate)


def _samples(frame: Any) -> np.ndarray:
    """A frame's samples as float32 of shape ``(num_channels, num_samples)``."""
    if frame.format.name.startswith("s64"):  # the only format that numpy is not given
        import av

        (frame,) = av.AudioResampler(format="dblp").resample(frame)
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32) / (np.iinfo(values.dtype).max + 1)
    return values.astype(np.float32)


class _WholeNumbers:
    """Brings float samples to [-1, 1] that are 16-bit numbers converted but not divided.

    Nothing but zeros and ones may be the beginning of either kind, and is taken for faint noise until
    something else comes.
    """

    def __init__(self, name: str):
        self._name = name
        self._divisor = 0

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if not self._divisor and (samples != np.rint(samples)).any():
            self._divisor = 1
        if not self._divisor and np.abs(samples).max(initial=0.0) > MAX_AMPLITUDE:
            self._divisor = FULL_SCALE_16_BIT
            _warn(self._name, f"its float samples are whole numbers; divided by {self._divisor}")
        return samples / np.float32(self._divisor or FULL_SCALE_16_BIT)


@contextlib.contextmanager
def _errors_explained(name: str) -> Iterator[None]:
    """Turns whatever a library raises over one file into that file's error."""
    try:
        yield
    except AudioError:
        raise
    except Exception as error:
        raise AudioError(f"{name} is not audio that FFmpeg can read: {_reason(error)}") from error


def _check_range(waveform: np.ndarray, name: str) -> None:
    peak = float(np.abs(waveform).max(initial=0.0))
    if not np.isfinite(peak):
        raise AudioError(f"{name} holds NaN or infinite samples, expected finite values.")
    if peak > MAX_AMPLITUDE:
        raise AudioError(
            f"{name} reaches {peak:g}, expected float32 in [-1, 1]: it looks like integer samples "
            "that were not divided by full scale (32768 for 16 bit)."
        )


def _warn(name: str, text: str) -> None:
    _logger.warning("%s: %s", name, text)
    collected = _collected.get()
    if collected is not None:
        collected.append(text)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
