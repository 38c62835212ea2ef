"""The features of Whisper, of a window of silence that a word is put into."""

import functools

import numpy as np

from inference.audio import SAMPLING_RATE

#: Samples of a frame, and between frames, as Whisper was trained (25 and 10 ms).
FRAME_SAMPLES, HOP_SAMPLES = 400, 160
#: What lies further below the loudest value is raised to there, in tenfold powers.
RANGE = 8.0
#: The mel scale of Slaney's Auditory Toolbox: linear up to 1 kHz (15 mel), then 27 mel a factor of 6.4.
_BREAK_HZ, _BREAK_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def whisper_log_mel(waveform: np.ndarray, n_mels: int, num_frames: int) -> np.ndarray:
    """Log-mel bands as transformers' ``WhisperFeatureExtractor`` computes them.

    The silence is of the waveform: zeros among the features are no silence to the network.

    Args:
        waveform: ``(num_samples,)``; what is longer than the window is cut.
        n_mels: Number of bands.
        num_frames: Length of the window.

    Returns:
        Float32, ``(n_mels, num_frames)``.
    """
    window = np.zeros(num_frames * HOP_SAMPLES, np.float32)
    window[: waveform.size] = waveform[: window.size]
    samples = np.pad(window, FRAME_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES][:num_frames]
    spectrum = np.fft.rfft(frames * periodic_hann())
    power = spectrum.real**2 + spectrum.imag**2
    log_power = np.log10(np.maximum(power @ slaney_weights(n_mels), 1e-10)).T
    bands: np.ndarray = (np.maximum(log_power, log_power.max() - RANGE) + 4.0) / 4.0
    return bands.astype(np.float32)


@functools.cache
def periodic_hann() -> np.ndarray:
    """A Hann window of ``(FRAME_SAMPLES,)`` whose end is left out."""
    return np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)


@functools.cache
def slaney_weights(n_mels: int) -> np.ndarray:
    """Triangles of equal area, evenly spaced in mel: ``(num_bins, n_mels)``."""
    top = _BREAK_MEL + np.log(SAMPLING_RATE / 2 / _BREAK_HZ) / _LOG_STEP
    mel = np.linspace(0.0, top, n_mels + 2)
    linear = mel * _BREAK_HZ / _BREAK_MEL
    edges = np.where(mel < _BREAK_MEL, linear, _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))
    bins = np.fft.rfftfreq(FRAME_SAMPLES, 1 / SAMPLING_RATE)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return (np.maximum(triangles, 0.0) * 2.0 / (high - low)).astype(np.float32)
