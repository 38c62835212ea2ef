"""Silence trimming, log-mel windows, MFCCs and the statistics that the small baselines learn from.

Plain numpy over all frames at once. The front end is Kaldi's (``compute-fbank-feats``: frames of
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
#: Least band energy, far below 16-bit resolution; keeps the logarithm of digital silence finite.
LEAST_ENERGY = 1e-10
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
        n_mfcc: Cepstral coefficients kept besides the level, which takes the place of c0.
        num_segments: Overlapping stretches of time that are averaged apart, to keep the order of sounds.
    """

    n_mfcc: int = 12
    num_segments: int = 5


@dataclass(frozen=True)
class WindowSettings(BandSettings):
    """Settings of the log-mel window that networks look at.

    Attributes:
        num_frames: Frames of 10 ms; longer words are squeezed into them.
    """

    num_frames: int = 80


def trim_silence(
    waveform: np.ndarray, below_peak_db: float = 30.0, above_floor_db: float = 6.0, margin_ms: int = 30
) -> np.ndarray:
    """Cuts leading and trailing silence.

    A frame counts as sound above ``max(peak - below_peak_db, floor + above_floor_db)``, the floor
    being the tenth percentile of the frame levels; the floor's part never exceeds peak - 10 dB, so
    that a clip without any silence is kept whole.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        below_peak_db: Depth below the loudest frame that still counts as sound.
        above_floor_db: Height above the noise floor that counts as sound.
        margin_ms: Kept before the first and after the last sounding frame.

    Returns:
        A view of shape ``(num_kept_samples,)``.
    """
    if waveform.size < FRAME_SAMPLES + HOP_SAMPLES:
        return waveform
    frames = np.lib.stride_tricks.sliding_window_view(waveform, FRAME_SAMPLES)[::HOP_SAMPLES]
    level_db = 10.0 * np.log10(np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES + 1e-12)
    level_db = _median_of_three(level_db)
    peak = level_db.max()
    floor = np.percentile(level_db, 10)
    threshold = max(peak - below_peak_db, min(floor + above_floor_db, peak - 10.0))
    sounding = np.flatnonzero(level_db > threshold)
    if sounding.size == 0:  # constant level, digital silence included
        return waveform
    margin = margin_ms * SAMPLING_RATE // 1000
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
    frames = _frames(waveform)
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames[:, 1:] -= PRE_EMPHASIS * frames[:, :-1]
    frames[:, 0] *= 1.0 - PRE_EMPHASIS
    spectrum = np.fft.rfft(frames * _povey_window(), N_FFT)
    power = spectrum.real**2 + spectrum.imag**2
    bands = np.log(np.maximum(power @ _mel_weights(settings), LEAST_ENERGY))
    return cut_floor(bands, settings).astype(np.float32)


def cut_floor(bands: np.ndarray, settings: BandSettings) -> np.ndarray:
    """Lifts what lies further than ``floor_db`` below the largest value."""
    return np.maximum(bands, bands.max() - settings.floor_db * np.log(10.0) / 10.0)


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


def _frames(waveform: np.ndarray) -> np.ndarray:
    """Frames centred every 10 ms, the ends mirrored; shape ``(num_frames, FRAME_SAMPLES)``."""
    num_frames = max((waveform.size + HOP_SAMPLES // 2) // HOP_SAMPLES, 1)
    before = (FRAME_SAMPLES - HOP_SAMPLES) // 2
    after = max((num_frames - 1) * HOP_SAMPLES + FRAME_SAMPLES - before - waveform.size, 0)
    padded = np.pad(waveform, (before, after), mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES][:num_frames]


@functools.cache
def _povey_window() -> np.ndarray:
    """Hann window to the power 0.85, shape ``(FRAME_SAMPLES,)``."""
    return (np.hanning(FRAME_SAMPLES) ** 0.85).astype(np.float32)


@functools.cache
def _mel_weights(settings: BandSettings) -> np.ndarray:
    """Triangles evenly spaced in mel, shape ``(N_FFT // 2 + 1, n_mels)``."""
    low, high = _mel(np.array([settings.low_hz, settings.high_hz]))
    edges = np.linspace(low, high, settings.n_mels + 2)
    mel = _mel(np.arange(N_FFT // 2 + 1) * SAMPLING_RATE / N_FFT)[:, None]
    width = edges[1] - edges[0]
    weights = np.minimum(mel - edges[:-2], edges[2:] - mel) / width
    return np.maximum(weights, 0.0).astype(np.float32)


def _mel(frequency_hz: np.ndarray) -> np.ndarray:
    """The mel scale of the HTK book, section 5.4: ``1127 ln(1 + f / 700)``."""
    return 1127.0 * np.log1p(frequency_hz / 700.0)


def mfcc(waveform: np.ndarray, settings: FeatureSettings) -> np.ndarray:
    """Mel-frequency cepstral coefficients 1 to ``n_mfcc``: the discrete cosine transform of ``log_mel``.

    Returns:
        Float32 matrix of shape ``(num_frames, n_mfcc)``.
    """
    return log_mel(waveform, settings) @ cosines(settings.n_mels, settings.n_mfcc)


@functools.cache
def cosines(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Columns 1 to ``n_mfcc`` of the orthonormal DCT-II, shape ``(n_mels, n_mfcc)``."""
    bands = (np.arange(n_mels) + 0.5) * np.pi / n_mels
    return (np.cos(np.outer(bands, np.arange(1, n_mfcc + 1))) * np.sqrt(2.0 / n_mels)).astype(np.float32)


def deltas(features: np.ndarray, reach: int = 2) -> np.ndarray:
    """Slope over time by linear regression over ``2 * reach + 1`` frames (HTK book, equation 5.16).

    Args:
        features: Shape ``(num_frames, num_features)``.
        reach: Frames looked at on each side.

    Returns:
        Float32 matrix of the same shape.
    """
    padded = np.pad(features, ((reach, reach), (0, 0)), mode="edge")
    length = len(features)
    slope = sum(
        step * (padded[reach + step : reach + step + length] - padded[reach - step : reach - step + length])
        for step in range(1, reach + 1)
    )
    return np.asarray(slope / (2 * sum(step * step for step in range(1, reach + 1))), dtype=np.float32)


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
    """Statistics of level, MFCCs and their two slopes, segment means, duration.

    The level of a frame is that relative to the loudest: its course tells a stop from a vowel, while
    its height would tell the speaker and the distance of the microphone.

    Args:
        bands: Log-mel matrix ``(num_frames, n_mels)``.
        settings: Feature settings.

    Returns:
        Float32 vector of shape ``(num_statistics(settings),)``.
    """
    level = bands.mean(axis=1, keepdims=True)
    static = np.hstack([level - level.max(), bands @ cosines(settings.n_mels, settings.n_mfcc)])
    slope = deltas(static)
    frames = np.hstack([static, slope, deltas(slope)])
    segments = segment_weights(len(frames), settings.num_segments) @ frames
    parts = [frames.mean(axis=0), frames.std(axis=0), frames.min(axis=0), frames.max(axis=0)]
    return np.concatenate([*parts, segments.ravel(), [np.log(len(frames))]]).astype(np.float32)


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
    return 3 * (1 + settings.n_mfcc) * (4 + settings.num_segments) + 1


def _median_of_three(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, 1, mode="edge")
    return np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)
