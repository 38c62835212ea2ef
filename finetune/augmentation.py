"""Makes each epoch's clips differ as rooms, speakers and microphones do.

Every draw is seeded by the clip, the epoch and the run's seed, so that an augmented clip is the
same whichever worker or process prepares it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetune.effects import (
    EQUALISER_HZ,
    babble,
    change_speed,
    coloured_noise,
    equalise,
    low_pass,
    reverberate,
    shift_formants,
)
from inference.audio import SAMPLING_RATE
from inference.features import trim_silence

#: Level under the speech of the noise that fills the padding of clips without audible background.
FAINT_SNR_DB = 60.0
#: Fewer voices at once could be taken for the word itself.
MIN_BABBLE_VOICES = 3
MAX_BABBLE_VOICES = 8


@dataclass(frozen=True)
class AugmentationSettings:
    """Ranges to draw from.

    Attributes:
        speed: Playing speed; changes pitch and formants with the duration, as another vocal tract
            and another rate of speech do. (1, 1) switches it off.
        formants: Factor on the formants alone; with ``speed`` it parts pitch from vocal tract.
        equaliser_db: Largest gain or loss of the random equaliser in an octave.
        gain_db: Level relative to the clip.
        pad_ms: Background added before, and drawn again, after the word: what an endpointer's crop
            brings along.
        reverberation_probability: Share of clips heard in a room.
        decay_ms: Time in which the room's sound falls by 60 dB.
        direct_to_reverberant_db: Energy of the direct sound relative to the room's.
        snr_db: Signal-to-noise ratio of the added background.
        noise_probability: Share of clips that get audible background; the padding of the others is
            filled with faint noise ``FAINT_SNR_DB`` below the speech.
        babble_share: Share of the audible backgrounds that are other people talking.
        low_pass_probability: Share of clips that lose the band above 2.5 to 4 kHz.
        max_ms: Longer results are cut to this; one long clip would pad its whole batch.
    """

    speed: tuple[float, float] = (0.85, 1.18)
    formants: tuple[float, float] = (0.87, 1.15)
    equaliser_db: float = 6.0
    gain_db: tuple[float, float] = (-12.0, 12.0)
    pad_ms: tuple[float, float] = (0.0, 300.0)
    reverberation_probability: float = 0.2
    decay_ms: tuple[float, float] = (150.0, 600.0)
    direct_to_reverberant_db: tuple[float, float] = (0.0, 15.0)
    snr_db: tuple[float, float] = (5.0, 40.0)
    noise_probability: float = 0.5
    babble_share: float = 0.2
    low_pass_probability: float = 0.2
    max_ms: float = 1500.0


def clip_generator(seed: int, epoch: int, clip_id: str) -> np.random.Generator:
    """The random generator of one clip in one epoch, independent of order and worker."""
    digest = hashlib.sha256(f"{seed}|{epoch}|{clip_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


@dataclass(frozen=True)
class SpeedDraw:
    """The first draws of a variation: how long it is can be told from them without making it.

    Attributes:
        speed: Playing speed.
        formants: Factor on the formants.
        samples_before: Background before the clip.
        samples_after: Background after it.
    """

    speed: float
    formants: float
    samples_before: int
    samples_after: int

    def num_samples(self, clip_samples: int, settings: AugmentationSettings) -> int:
        """Length of the variation of a clip of that length, but for rounding."""
        padded = round(clip_samples / self.speed) + self.samples_before + self.samples_after
        return min(padded, _max_samples(settings))


def draw_speed(settings: AugmentationSettings, generator: np.random.Generator) -> SpeedDraw:
    """Draws what ``augment`` draws first."""
    speed = generator.uniform(*settings.speed)
    formants = generator.uniform(*settings.formants)
    before, after = (int(ms * SAMPLING_RATE / 1000) for ms in generator.uniform(*settings.pad_ms, size=2))
    return SpeedDraw(speed, formants, before, after)


def augment(
    waveform: np.ndarray,
    settings: AugmentationSettings,
    generator: np.random.Generator,
    voices: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Draws one variation of a clip: the speaker, then the room, the background, the microphone.

    Args:
        waveform: Shape ``(num_samples,)`` at 16 kHz.
        settings: Ranges to draw from.
        generator: Source of every random choice.
        voices: Training clips of other speakers, to be heard at once as babble; where there are fewer
            than ``MIN_BABBLE_VOICES``, noise takes its place.

    Returns:
        Float32 waveform in [-1, 1] of another length.
    """
    drawn = draw_speed(settings, generator)
    waveform = shift_formants(change_speed(waveform, drawn.speed), drawn.formants)
    speech_rms = max(float(np.sqrt(np.mean(np.square(waveform)))), 1e-6)
    waveform = _pad(waveform, drawn, settings, generator)
    if generator.random() < settings.reverberation_probability:
        decay_ms = generator.uniform(*settings.decay_ms)
        ratio_db = generator.uniform(*settings.direct_to_reverberant_db)
        waveform = reverberate(waveform, decay_ms, ratio_db, generator)
    waveform = waveform + np.float32(speech_rms) * _background(waveform.size, settings, generator, voices)
    if settings.equaliser_db:
        gains_db = generator.uniform(-settings.equaliser_db, settings.equaliser_db, len(EQUALISER_HZ))
        waveform = equalise(waveform, gains_db)
    if generator.random() < settings.low_pass_probability:
        waveform = low_pass(waveform, generator.uniform(2500.0, 4000.0))
    gain = 10 ** (generator.uniform(*settings.gain_db) / 20)
    return np.clip(waveform * gain, -1.0, 1.0).astype(np.float32)


def _max_samples(settings: AugmentationSettings) -> int:
    return int(settings.max_ms * SAMPLING_RATE / 1000)


def _pad(
    waveform: np.ndarray,
    drawn: SpeedDraw,
    settings: AugmentationSettings,
    generator: np.random.Generator,
) -> np.ndarray:
    """Pads both sides and cuts to the longest duration allowed, around the word where it fits."""
    padded = np.pad(waveform, (drawn.samples_before, drawn.samples_after))
    max_samples = _max_samples(settings)
    surplus = padded.size - max_samples
    if surplus <= 0:
        return padded
    word = trim_silence(waveform)
    start = drawn.samples_before + (word.ctypes.data - waveform.ctypes.data) // waveform.itemsize
    # A window in these limits holds the whole word, or nothing but the word where that is longer.
    limits = (max(start + word.size - max_samples, 0), min(start, surplus))
    first = int(generator.integers(min(limits), max(limits) + 1))
    return padded[first : first + max_samples]


def _background(
    num_samples: int,
    settings: AugmentationSettings,
    generator: np.random.Generator,
    voices: Sequence[np.ndarray],
) -> np.ndarray:
    """Noise or babble relative to speech of RMS 1."""
    if generator.random() >= settings.noise_probability:
        faint = generator.standard_normal(num_samples, dtype=np.float32)
        return faint * np.float32(10 ** (-FAINT_SNR_DB / 20))
    if len(voices) >= MIN_BABBLE_VOICES and generator.random() < settings.babble_share:
        sound = babble(voices, num_samples, generator)
    else:
        sound = coloured_noise(num_samples, generator.uniform(0.0, 2.0), generator)
    return sound * np.float32(10 ** (-generator.uniform(*settings.snr_db) / 20))
