"""Sounds that disturb speech, each of unit RMS and drawn from a generator; how they are mixed at a level."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import signal

from finetune import effects
from finetune.corpus.clip import Clip
from inference.audio import SAMPLING_RATE, resample

#: Hz at which every condition is made: telephones, FSDD. What lies above 4 kHz is removed.
NARROWBAND_HZ = 8_000
FRAME_S = 0.01
#: Frames this far below the loudest one are pauses.
ACTIVE_RANGE_DB = 30.0
NUM_TALKERS = 6
TELEPHONE_BAND_HZ = (300.0, 3400.0)
#: Octave-band levels of male speech, Hz -> dB (IEC 60268-16:2011, annex on test signals).
SPEECH_LEVELS_DB = {125: 2.9, 250: 2.9, 500: -0.8, 1000: -6.8, 2000: -12.8, 4000: -18.8}


@dataclass(frozen=True)
class Mixture:
    """Speech with what was done to it.

    Attributes:
        waveform: What is heard, shape ``(num_samples,)``.
        speech: The speech alone as it lies in the waveform; None where no noise was added to it.
        gain_db: Change of its level.
    """

    waveform: np.ndarray
    speech: np.ndarray | None = None
    gain_db: float = 0.0


@dataclass(frozen=True)
class Draw:
    """What a disturbance may depend on besides the speech.

    Attributes:
        talkers: Clips of others, for babble; none of them of the test, in any order.
    """

    generator: np.random.Generator
    speaker: str
    talkers: Sequence[Clip]

    def words(self, count: int) -> list[np.ndarray]:
        """Words of other speakers at 8 kHz with unit RMS."""
        others = [
            clip
            for clip in sorted(self.talkers, key=lambda clip: clip.clip_id)
            if clip.speaker != self.speaker
        ]
        chosen = self.generator.choice(len(others), size=count, replace=len(others) < count)
        return [_unit(_narrow_word(others[place])) for place in chosen]


Noise = Callable[[int, Draw], np.ndarray]


def white(num_samples: int, draw: Draw) -> np.ndarray:
    """The same power at every frequency."""
    return effects.coloured_noise(num_samples, 0.0, draw.generator)


def speech_shaped(num_samples: int, draw: Draw) -> np.ndarray:
    """Noise with the long-term spectrum of speech."""
    frequencies = np.fft.rfftfreq(num_samples, 1 / NARROWBAND_HZ)
    octaves = np.log2(np.maximum(frequencies, 60.0))
    centres = np.log2(list(SPEECH_LEVELS_DB))
    # An octave band holds twice the width of the one below: 3 dB per octave from level to density.
    density_db = np.interp(octaves, centres, list(SPEECH_LEVELS_DB.values())) - 3.01 * (octaves - centres[0])
    spectrum = np.fft.rfft(draw.generator.standard_normal(num_samples)) * 10 ** (density_db / 20)
    return _unit(np.fft.irfft(spectrum, num_samples))


def babble_of_talkers(num_samples: int, draw: Draw) -> np.ndarray:
    """Six words of other speakers at once, repeated to the length."""
    return effects.babble(draw.words(NUM_TALKERS), num_samples, draw.generator)


def mix(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> Mixture:
    """Adds noise at a signal-to-noise ratio.

    The ratio is that of the RMS of active speech to the RMS of the noise over the same samples. A sum
    above full scale is scaled as a whole, which keeps the ratio; nothing else changes the level.
    """
    active = active_samples(speech)
    wanted = max(_rms(speech[active]), 1e-5) * 10 ** (-snr_db / 20)
    total = speech + noise * (wanted / max(_rms(noise[active]), 1e-12))
    scale = min(1.0, (1 - 2**-15) / max(float(np.abs(total).max()), 1e-12))
    return Mixture(scale * total, scale * speech, 20 * float(np.log10(scale)))


def active_samples(speech: np.ndarray) -> np.ndarray:
    """A mask of the samples in 10 ms frames within 30 dB of the loudest frame, shape ``(num_samples,)``."""
    length = int(FRAME_S * NARROWBAND_HZ)
    frames = np.pad(speech, (0, -speech.size % length)).reshape(-1, length)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    return np.repeat(power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10), length)[: speech.size]


def snr_db(mixture: Mixture) -> float | None:
    """The signal-to-noise ratio that a mixture has; None if nothing was added."""
    if mixture.speech is None:
        return None
    active = active_samples(mixture.speech)
    noise = mixture.waveform - mixture.speech
    ratio = max(_rms(mixture.speech[active]), 1e-12) / max(_rms(noise[active]), 1e-12)
    return 20 * float(np.log10(ratio))


def narrow(waveform: np.ndarray) -> np.ndarray:
    """A waveform at 16 kHz as float64 at 8 kHz."""
    return resample(waveform, SAMPLING_RATE, NARROWBAND_HZ).astype(np.float64)


def telephone_band(speech: np.ndarray) -> np.ndarray:
    """What a telephone line lets through: Butterworth band-pass of order 4."""
    sections = signal.butter(4, TELEPHONE_BAND_HZ, "bandpass", fs=NARROWBAND_HZ, output="sos")
    return signal.sosfilt(sections, speech)


@lru_cache(maxsize=4096)
def _narrow_word(clip: Clip) -> np.ndarray:
    return narrow(clip.waveform())


def _unit(values: np.ndarray) -> np.ndarray:
    return values / max(_rms(values), 1e-12)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
