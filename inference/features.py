"""Silence trimming, log-mel windows, MFCCs and the statistics that the small baselines learn from.

Plain numpy over many frames at once. The front end is Kaldi's (``compute-fbank-feats``: frames of
25 ms every 10 ms, pre-emphasis 0.97, Povey window, triangles on the mel scale), and a test holds it
against ``kaldi-native-fbank``; on clips of half a second the calls of that library's streaming
interface cost more than the arithmetic.
"""

import functools
from dataclasses import dataclass

import numpy as np

from inference.audio import SAMPLING_RATE

FRAME_SAMPLES = 25 * SAMPLING_RATE // 1000
HOP_SAMPLES = 10 * SAMPLING_RATE // 1000
N_FFT = 512
PRE_EMPHASIS = 0.97
#: Of a frame: its product with this is its mean.
_AVERAGE = np.full(FRAME_SAMPLES, 1.0 / FRAME_SAMPLES, np.float32)
#: Frames that are transformed at once, in arrays that the C library keeps: larger ones go back to the
#: system after every call, and getting them again takes longer than the arithmetic.
_BLOCK_FRAMES = 32
#: Added to the mean square of a frame; keeps the level of digital silence finite.
LEAST_POWER = 1e-12
#: Least band energy, far below 16-bit resolution; keeps the logarithm of digital silence finite.
LEAST_ENERGY = 1e-10
#: Where silence at the ends is trimmed, see ``trim_silence``.
BELOW_PEAK_DB, ABOVE_FLOOR_DB, BELOW_PEAK_AT_LEAST_DB, TRIM_MARGIN_MS = 30.0, 6.0, 10.0, 30
#: Added to the standard deviation of a window; keeps digital silence finite.
STANDARDISE_EPSILON = 1e-3


@dataclass(frozen=True)
class BandSettings:
    """Settings of the log-mel bands; stored in ``features.json`` beside a model.

    Attributes:
        n_mels: Mel bands.
        low_hz: Lower edge of the lowest mel band.
        high_hz: Upper edge of the highest; just under 4 kHz, so that telephone-band recordings and
            wide-band microphones look alike.
        floor_db: Depth below the loudest band and frame at which energies are cut off; what lies lower is
            noise of the room or holes that a lossy codec left.
        trim: Whether leading and trailing silence is cut off first.
    """

    n_mels: int = 40
    low_hz: float = 60.0
    high_hz: float = 3800.0
    floor_db: float = 45.0
    trim: bool = True


@dataclass(frozen=True)
class FeatureSettings(BandSettings):
    """Settings of the MFCC statistics.

    Attributes:
        n_mfcc: Cepstral coefficients kept besides the level, which takes the place of c0. Higher ones tell
            speakers rather than words: new speakers are recognised worse with twelve.
        num_segments: Overlapping stretches of time that are averaged apart, to keep the order of sounds.
    """

    n_mfcc: int = 10
    num_segments: int = 5


@dataclass(frozen=True)
class WindowSettings(BandSettings):
    """Settings of the log-mel window that networks look at.

    Attributes:
        num_frames: Frames of 10 ms; longer words are squeezed into them.
    """

    num_frames: int = 80


def trim_silence(waveform: np.ndarray) -> np.ndarray:
    """Cuts leading and trailing silence, but for ``TRIM_MARGIN_MS`` before and after what sounds.

    A frame counts as sound above ``max(peak - BELOW_PEAK_DB, floor + ABOVE_FLOOR_DB)``, the floor being
    the tenth percentile of the frame levels; the floor's part never exceeds
    ``peak - BELOW_PEAK_AT_LEAST_DB``, so that a clip without any silence is kept whole.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.

    Returns:
        A view of shape ``(num_kept_samples,)``.
    """
    if waveform.size < FRAME_SAMPLES + HOP_SAMPLES:
        return waveform
    frames = _frames(waveform)
    level_db = _median_of_three(10.0 * np.log10(np.vecdot(frames, frames) / FRAME_SAMPLES + LEAST_POWER))
    peak = level_db.max()
    floor = _tenth_percentile(level_db)
    threshold = max(peak - BELOW_PEAK_DB, min(floor + ABOVE_FLOOR_DB, peak - BELOW_PEAK_AT_LEAST_DB))
    sounding = np.flatnonzero(level_db > threshold)
    if sounding.size == 0:  # constant level, digital silence included
        return waveform
    margin = TRIM_MARGIN_MS * SAMPLING_RATE // 1000
    first = max(sounding[0] * HOP_SAMPLES - margin, 0)
    last = min(sounding[-1] * HOP_SAMPLES + FRAME_SAMPLES + margin, waveform.size)
    return waveform[first:last]


def log_mel(waveform: np.ndarray, settings: BandSettings) -> np.ndarray:
    """Logarithm of the energy in mel bands, 25 ms frames every 10 ms.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        settings: Bands and floor.

    Returns:
        Float32 matrix of shape ``(num_frames, n_mels)``, natural logarithm, no value further than
        ``floor_db`` below the largest.
    """
    weights = mel_weights(settings)
    energies = _power(waveform, len(weights)) @ weights
    return cut_floor(np.log(np.maximum(energies, LEAST_ENERGY)), settings)


def cut_floor(bands: np.ndarray, settings: BandSettings) -> np.ndarray:
    """Lifts what lies further than ``floor_db`` below the largest value."""
    return np.maximum(bands, bands.max() - np.float32(settings.floor_db * np.log(10.0) / 10.0))


def word_log_mel(waveform: np.ndarray, settings: BandSettings) -> np.ndarray:
    """``log_mel`` of the sounding part of a waveform, if the settings ask for trimming."""
    return log_mel(trim_silence(waveform) if settings.trim else waveform, settings)


def log_mel_window(waveform: np.ndarray, settings: WindowSettings) -> np.ndarray:
    """The word in the middle of a window of fixed duration, standardised.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        settings: Bands and duration.

    Returns:
        Float32 matrix of shape ``(num_frames, n_mels)``, mean 0 and standard deviation 1; what the
        word does not fill has its lowest value.
    """
    bands = squeeze(word_log_mel(waveform, settings), settings.num_frames)
    before = (settings.num_frames - len(bands)) // 2
    floor = bands.max() - settings.floor_db * np.log(10.0) / 10.0
    window = np.full((settings.num_frames, settings.n_mels), floor, np.float32)
    window[before : before + len(bands)] = bands
    return (window - window.mean()) / (window.std() + STANDARDISE_EPSILON)


def squeeze(bands: np.ndarray, num_frames: int) -> np.ndarray:
    """Interpolates linearly over time where there are more than ``num_frames`` rows."""
    if len(bands) <= num_frames:
        return bands
    place = np.linspace(0.0, len(bands) - 1, num_frames)
    lower = np.minimum(place.astype(int), len(bands) - 2)
    part = (place - lower).astype(np.float32)[:, None]
    return bands[lower] * (1.0 - part) + bands[lower + 1] * part


def _power(waveform: np.ndarray, num_bins: int) -> np.ndarray:
    """Power of the lowest bins of each emphasised and windowed frame, ``(num_frames, num_bins)``."""
    samples = _mirrored(waveform)
    # Kaldi takes the mean off a frame and then emphasises it. Both are linear, so the samples are
    # emphasised once for all frames, and what that leaves of the means is taken off. The first sample of
    # a frame has none before it, but the window begins with zero.
    offsets = np.vecdot(_frames(samples), _AVERAGE)[:, None] * (1.0 - PRE_EMPHASIS)
    samples[1:] -= PRE_EMPHASIS * samples[:-1]
    frames, window = _frames(samples), povey_window()
    power = np.empty((len(frames), num_bins), np.float32)
    padded = np.zeros((_BLOCK_FRAMES, N_FFT), np.float32)
    for first in range(0, len(frames), _BLOCK_FRAMES):
        rows = slice(first, min(first + _BLOCK_FRAMES, len(frames)))
        block = padded[: rows.stop - first]
        np.subtract(frames[rows], offsets[rows], out=block[:, :FRAME_SAMPLES])
        block[:, :FRAME_SAMPLES] *= window
        spectrum = np.fft.rfft(block)[:, :num_bins]
        np.add(spectrum.real**2, spectrum.imag**2, out=power[rows])
    return power


def _mirrored(waveform: np.ndarray) -> np.ndarray:
    """The waveform with mirrored ends, so that whole frames are centred every 10 ms."""
    num_frames = max((waveform.size + HOP_SAMPLES // 2) // HOP_SAMPLES, 1)
    before = (FRAME_SAMPLES - HOP_SAMPLES) // 2
    after = (num_frames - 1) * HOP_SAMPLES + FRAME_SAMPLES - before - waveform.size
    if waveform.size < max(before, after):  # mirrored more than once
        return np.pad(waveform, (before, after), mode="symmetric")
    return np.concatenate([waveform[before - 1 :: -1], waveform, waveform[: -after - 1 : -1]])


def _frames(samples: np.ndarray) -> np.ndarray:
    """All whole frames, a view of shape ``(num_frames, FRAME_SAMPLES)``."""
    num_frames = (samples.size - FRAME_SAMPLES) // HOP_SAMPLES + 1
    (step,) = samples.strides
    shape, strides = (num_frames, FRAME_SAMPLES), (HOP_SAMPLES * step, step)
    # sliding_window_view does the same with checks that take longer than what is done with the frames.
    return np.lib.stride_tricks.as_strided(samples, shape, strides)


@functools.cache
def povey_window() -> np.ndarray:
    """Hann window to the power 0.85, shape ``(FRAME_SAMPLES,)``."""
    return (np.hanning(FRAME_SAMPLES) ** 0.85).astype(np.float32)


@functools.cache
def mel_weights(settings: BandSettings) -> np.ndarray:
    """Triangles evenly spaced in mel, up to the last bin of the highest: ``(num_bins, n_mels)``."""
    low, high = _mel(np.array([settings.low_hz, settings.high_hz]))
    edges = np.linspace(low, high, settings.n_mels + 2)
    mel = _mel(np.arange(N_FFT // 2 + 1) * SAMPLING_RATE / N_FFT)[:, None]
    width = edges[1] - edges[0]
    weights = np.minimum(mel - edges[:-2], edges[2:] - mel) / width
    last = np.flatnonzero(weights.max(axis=1) > 0.0)[-1]
    return np.maximum(weights[: last + 1], 0.0).astype(np.float32)


def _mel(frequency_hz: np.ndarray) -> np.ndarray:
    """The mel scale of the HTK book, section 5.4: ``1127 ln(1 + f / 700)``."""
    return 1127.0 * np.log1p(frequency_hz / 700.0)


@functools.cache
def cosines(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Columns 1 to ``n_mfcc`` of the orthonormal DCT-II, shape ``(n_mels, n_mfcc)``."""
    bands = (np.arange(n_mels) + 0.5) * np.pi / n_mels
    return (np.cos(np.outer(bands, np.arange(1, n_mfcc + 1))) * np.sqrt(2.0 / n_mels)).astype(np.float32)


def deltas(features: np.ndarray) -> np.ndarray:
    """Slope over time by linear regression over five frames (HTK book, equation 5.16).

    Args:
        features: Shape ``(num_frames, num_features)``.

    Returns:
        Float32 matrix of the same shape.
    """
    first, last = features[:1], features[-1:]
    padded = np.concatenate([first, first, features, last, last])
    return (padded[3:-1] - padded[1:-3] + 2.0 * (padded[4:] - padded[:-4])) / 10.0


def mfcc_statistics(waveform: np.ndarray, settings: FeatureSettings) -> np.ndarray:
    """One vector per clip, ``band_statistics`` of its sounding part.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        settings: Feature settings.

    Returns:
        Float32 vector of shape ``(num_statistics(settings),)``.
    """
    return band_statistics(word_log_mel(waveform, settings), settings)


def band_statistics(bands: np.ndarray, settings: FeatureSettings) -> np.ndarray:
    """Statistics of level, MFCCs and their slopes, segment means, duration.

    Args:
        bands: Log-mel matrix ``(num_frames, n_mels)``.
        settings: Feature settings.

    Returns:
        Float32 vector of shape ``(num_statistics(settings),)``.
    """
    static = level_and_mfcc(bands, settings)
    return frame_statistics(np.hstack([static, deltas(static)]), settings.num_segments)


def level_and_mfcc(bands: np.ndarray, settings: FeatureSettings) -> np.ndarray:
    """Level and MFCCs of each frame, ``(num_frames, 1 + n_mfcc)``, of a log-mel matrix.

    The level of a frame is that relative to the loudest: its course tells a stop from a vowel, while
    its height would tell the speaker and the distance of the microphone.
    """
    static = bands @ _level_and_cosines(settings.n_mels, settings.n_mfcc)
    static[:, 0] -= static[:, 0].max()
    return static


def frame_statistics(frames: np.ndarray, num_segments: int) -> np.ndarray:
    """Mean, deviation, least, greatest, segment means one after the other, and the logarithm of the duration.

    Args:
        frames: Shape ``(num_frames, num_features)``.
        num_segments: See ``FeatureSettings``.

    Returns:
        Float32 vector of shape ``(num_features * (4 + num_segments) + 1,)``.
    """
    mean = frames.mean(axis=0)
    centred = frames - mean
    # numpy's own standard deviation takes the mean once more.
    deviation = np.sqrt(np.vecdot(centred.T, centred.T) / np.float32(len(frames)))
    segments = segment_weights(len(frames), num_segments) @ frames
    parts = [mean, deviation, frames.min(axis=0), frames.max(axis=0)]
    return np.concatenate([*parts, segments.ravel(), [np.log(len(frames))]], dtype=np.float32)


@functools.cache
def _level_and_cosines(n_mels: int, n_mfcc: int) -> np.ndarray:
    """The mean over the bands and ``cosines``, shape ``(n_mels, 1 + n_mfcc)``."""
    return np.column_stack([np.full(n_mels, 1.0 / n_mels, np.float32), cosines(n_mels, n_mfcc)])


@functools.lru_cache(maxsize=512)
def segment_weights(num_frames: int, num_segments: int) -> np.ndarray:
    """Part of each frame in each segment: triangles that reach to the middle of their neighbours.

    Returns:
        Float32 matrix ``(num_segments, num_frames)``, each row adding up to 1.
    """
    place = (np.arange(num_frames) + 0.5) / num_frames * (num_segments - 1)
    # Frames further apart than segments would leave some without any.
    reach = max((num_segments - 1) / num_frames, 1.0)
    weights = np.maximum(reach - np.abs(place - np.arange(num_segments)[:, None]), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def num_statistics(settings: FeatureSettings) -> int:
    """Length of the vector that ``mfcc_statistics`` returns."""
    return 2 * (1 + settings.n_mfcc) * (4 + settings.num_segments) + 1


def _median_of_three(values: np.ndarray) -> np.ndarray:
    """Median of each value and its neighbours; numpy's own is made for long arrays."""
    before = np.concatenate([values[:1], values[:-1]])
    after = np.concatenate([values[1:], values[-1:]])
    low, high = np.minimum(before, after), np.maximum(before, after)
    return np.maximum(low, np.minimum(values, high))


def _tenth_percentile(values: np.ndarray) -> float:
    """That of at least two values, interpolated; numpy's own is made for long arrays."""
    place = 0.1 * (values.size - 1)
    lower = int(place)
    below, above = np.sort(values)[lower : lower + 2]
    return below + (place - lower) * (above - below)
