"""Makes each epoch's clips differ as rooms, speakers and microphones do.

Every draw is seeded by the clip, the epoch and the run's seed, so that an augmented clip is the
same whichever worker or process prepares it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import soxr

from inference.audio import SAMPLING_RATE


@dataclass(frozen=True)
class AugmentationSettings:
    """Ranges to draw from.

    Attributes:
        speed: Playing speed; changes pitch and formants with the duration, as another vocal tract
            and another rate of speech do. (1, 1) switches it off.
        gain_db: Level relative to the clip.
        pad_ms: Background added before, and drawn again, after the word: what an endpointer's crop
            brings along.
        snr_db: Signal-to-noise ratio of the added background.
        noise_probability: Share of clips that get audible background; the padding of the others is
            filled with faint noise 60 dB below the speech.
        low_pass_probability: Share of clips that lose the band above 2.5 to 4 kHz.
        max_ms: Longer results are cut at a random place; one long clip would pad its whole batch.
    """

    speed: tuple[float, float] = (0.85, 1.18)
    gain_db: tuple[float, float] = (-12.0, 12.0)
    pad_ms: tuple[float, float] = (0.0, 300.0)
    snr_db: tuple[float, float] = (5.0, 40.0)
    noise_probability: float = 0.5
    low_pass_probability: float = 0.2
    max_ms: float = 1500.0


def clip_generator(seed: int, epoch: int, clip_id: str) -> np.random.Generator:
    """The random generator of one clip in one epoch, independent of order and worker."""
    digest = hashlib.sha256(f"{seed}|{epoch}|{clip_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def augment(
    waveform: np.ndarray, settings: AugmentationSettings, generator: np.random.Generator
) -> np.ndarray:
    """Draws one variation of a clip.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        settings: Ranges to draw from.
        generator: Source of every random choice.

    Returns:
        Float32 waveform in [-1, 1] of another length.
    """
    waveform = change_speed(waveform, generator.uniform(*settings.speed))
    if generator.random() < settings.low_pass_probability:
        waveform = low_pass(waveform, generator.uniform(2500.0, 4000.0))
    speech_rms = max(float(np.sqrt(np.mean(np.square(waveform)))), 1e-6)
    before, after = (int(ms * SAMPLING_RATE / 1000) for ms in generator.uniform(*settings.pad_ms, size=2))
    waveform = np.pad(waveform, (before, after))
    noisy = generator.random() < settings.noise_probability
    snr_db = generator.uniform(*settings.snr_db) if noisy else 60.0
    noise = coloured_noise(waveform.size, generator.uniform(0.0, 2.0), generator)
    waveform = waveform + noise * np.float32(speech_rms * 10 ** (-snr_db / 20))
    waveform = _cut(waveform, int(settings.max_ms * SAMPLING_RATE / 1000), generator)
    gain = 10 ** (generator.uniform(*settings.gain_db) / 20)
    return np.clip(waveform * gain, -1.0, 1.0).astype(np.float32)


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Plays a waveform ``speed`` times as fast, by resampling."""
    if speed == 1.0:
        return waveform
    return soxr.resample(waveform, SAMPLING_RATE, SAMPLING_RATE / speed, quality="MQ").astype(np.float32)


def low_pass(waveform: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Removes what lies above a frequency by going through a lower sampling rate."""
    narrow = soxr.resample(waveform, SAMPLING_RATE, 2 * cutoff_hz, quality="MQ")
    wide = soxr.resample(narrow, 2 * cutoff_hz, SAMPLING_RATE, quality="MQ")
    return wide.astype(np.float32)


def _cut(waveform: np.ndarray, max_samples: int, generator: np.random.Generator) -> np.ndarray:
    surplus = waveform.size - max_samples
    if surplus <= 0:
        return waveform
    start = int(generator.integers(surplus + 1))
    return waveform[start : start + max_samples]


def coloured_noise(num_samples: int, exponent: float, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit RMS whose power falls as ``1 / f ** exponent``: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(generator.standard_normal(num_samples))
    frequency = np.fft.rfftfreq(num_samples)
    frequency[0] = frequency[1] if len(frequency) > 1 else 1.0
    noise = np.fft.irfft(spectrum / frequency ** (exponent / 2), num_samples)
    return (noise / max(float(np.sqrt(np.mean(np.square(noise)))), 1e-12)).astype(np.float32)
