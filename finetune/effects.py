"""What another speaker, room, microphone or background does to a waveform: pure functions.

Waveforms are float32 of shape ``(num_samples,)`` at 16 kHz. Written on soxr and scipy rather than
taken from an augmentation library: those draw from global random states, which worker processes
would share by accident, and their pitch shifters cost several milliseconds a clip.
"""

from collections.abc import Sequence

import numpy as np
import soxr

from inference.audio import SAMPLING_RATE

#: Background below this is inaudible hum and would use up the signal-to-noise ratio asked for.
LOWEST_NOISE_HZ = 60.0
#: Corners of the random equaliser, one per octave.
EQUALISER_HZ = (62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
#: Frames of the formant shift, and how many cepstral coefficients make the envelope of a voice:
#: 30 at 16 kHz end at 1.9 ms, below the pitch period of high voices.
_FRAME = 512
_HOP = 256
_ENVELOPE_COEFFICIENTS = 30


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Plays a waveform ``speed`` times as fast, by resampling."""
    if speed == 1.0:
        return waveform
    return soxr.resample(waveform, SAMPLING_RATE, SAMPLING_RATE / speed, quality="MQ").astype(np.float32)


def low_pass(waveform: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Removes what lies above a frequency by going through a lower sampling rate."""
    narrow = soxr.resample(waveform, SAMPLING_RATE, 2 * cutoff_hz, quality="MQ")
    wide = soxr.resample(narrow, 2 * cutoff_hz, SAMPLING_RATE, quality="MQ").astype(np.float32)
    return (
        wide[: waveform.size] if wide.size >= waveform.size else np.pad(wide, (0, waveform.size - wide.size))
    )


def shift_formants(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Moves the resonances of the vocal tract and leaves pitch and duration as they are.

    The smooth spectral envelope of each frame, its first cepstral coefficients, is stretched along
    the frequency axis: vocal-tract-length perturbation (Jaitly and Hinton, 2013) on the waveform.

    Args:
        waveform: What to change.
        factor: Above 1 for a shorter tract, formants higher by this factor.
    """
    import scipy.fft

    if factor == 1.0 or waveform.size < _FRAME:
        return waveform
    padded = np.pad(waveform, (_HOP, _FRAME + (-waveform.size) % _HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    # Applied before and after, the squares of neighbours' windows sum to 1.
    window = np.sqrt(np.hanning(_FRAME + 1)[:-1]).astype(np.float32)
    spectra = scipy.fft.rfft(frames * window, axis=1)
    cepstra = scipy.fft.irfft(np.log(np.abs(spectra) + np.float32(1e-5)), axis=1)
    cepstra[:, _ENVELOPE_COEFFICIENTS : _FRAME - _ENVELOPE_COEFFICIENTS + 1] = 0.0
    envelope = scipy.fft.rfft(cepstra, axis=1).real
    source = np.arange(_FRAME // 2 + 1) / factor
    lower = np.minimum(source.astype(int), _FRAME // 2 - 1)
    weight = np.minimum(source - lower, 1.0).astype(np.float32)
    moved = envelope[:, lower] * (1 - weight) + envelope[:, lower + 1] * weight
    frames = scipy.fft.irfft(spectra * np.exp(moved - envelope), axis=1) * window
    # Each hop is the first half of one frame and the second half of the frame before.
    summed = frames[1:, :_HOP] + frames[:-1, _HOP:]
    return summed.reshape(-1)[: waveform.size].astype(np.float32)


def equalise(waveform: np.ndarray, gains_db: Sequence[float] | np.ndarray) -> np.ndarray:
    """Filters with a smooth response, as microphones and loudspeakers do.

    Args:
        waveform: What to filter.
        gains_db: One per corner of ``EQUALISER_HZ``; in between they are joined over log frequency.
    """
    import scipy.fft

    size = scipy.fft.next_fast_len(waveform.size + SAMPLING_RATE // 50, real=True)
    frequency = np.maximum(scipy.fft.rfftfreq(size, 1 / SAMPLING_RATE), 1.0)
    response = 10 ** (np.interp(np.log(frequency), np.log(EQUALISER_HZ), gains_db) / 20)
    spectrum = scipy.fft.rfft(waveform, size) * response.astype(np.float32)
    return scipy.fft.irfft(spectrum, size)[: waveform.size].astype(np.float32)


def reverberate(
    waveform: np.ndarray, decay_ms: float, direct_to_reverberant_db: float, generator: np.random.Generator
) -> np.ndarray:
    """Adds the tail of a room: exponentially fading noise (Moorer, 1979), drawn anew each time.

    Args:
        waveform: What is heard in the room; the tail beyond its end is cut off.
        decay_ms: Time in which the tail falls by 60 dB.
        direct_to_reverberant_db: Energy of the direct sound relative to the tail.
        generator: Draws the tail.
    """
    import scipy.fft

    num_samples = int(decay_ms * SAMPLING_RATE / 1000)
    fade = np.exp(-np.log(1000.0) * np.arange(num_samples) / num_samples).astype(np.float32)
    tail = generator.standard_normal(num_samples, dtype=np.float32) * fade
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.sum(np.square(tail)))
    size = scipy.fft.next_fast_len(waveform.size + num_samples, real=True)
    echoes = scipy.fft.irfft(scipy.fft.rfft(waveform, size) * scipy.fft.rfft(tail, size), size)
    return waveform + echoes[: waveform.size]


def coloured_noise(num_samples: int, exponent: float, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit RMS whose power falls as ``1 / f ** exponent``: 0 white, 1 pink, 2 brown.

    Nothing lies below ``LOWEST_NOISE_HZ``: brown noise would have nearly all of its power there, and
    be 20 dB milder in the band of speech than its level says.
    """
    import scipy.fft

    size = scipy.fft.next_fast_len(max(num_samples, _FRAME), real=True)
    spectrum = scipy.fft.rfft(generator.standard_normal(size, dtype=np.float32))
    frequency = scipy.fft.rfftfreq(size, 1 / SAMPLING_RATE)
    shape = np.maximum(frequency, LOWEST_NOISE_HZ) ** (-exponent / 2)
    shape[frequency < LOWEST_NOISE_HZ] = 0.0
    return unit_rms(scipy.fft.irfft(spectrum * shape.astype(np.float32), size)[:num_samples])


def babble(voices: Sequence[np.ndarray], num_samples: int, generator: np.random.Generator) -> np.ndarray:
    """People talking at once, at unit RMS.

    Args:
        voices: Waveforms to lay over each other, each repeated from a random place on.
        num_samples: Length of the result.
        generator: Draws the places.
    """
    mixture = np.zeros(num_samples, np.float32)
    for voice in map(unit_rms, voices):
        mixture += np.resize(np.roll(voice, generator.integers(voice.size)), num_samples)
    return unit_rms(mixture)


def unit_rms(waveform: np.ndarray) -> np.ndarray:
    """The waveform scaled to RMS 1; silence stays silent."""
    return (waveform / max(float(np.sqrt(np.mean(np.square(waveform)))), 1e-12)).astype(np.float32)
