"""What is no digit: noises, hum and music-like tones by the hour, and other words."""

from collections.abc import Iterator

import numpy as np

from finetune.corpus.non_words import WORDS, spoken_words
from finetune.effects import coloured_noise
from inference.audio import SAMPLING_RATE

SCENE_SECONDS = 60
#: Loudness of the scenes, from a quiet fan to music beside the microphone.
SCENE_DBFS = (-50.0, -40.0, -30.0)
SEMITONE = 2 ** (1 / 12)
HUM_HARMONICS = 10


def noise_minutes(minutes: int) -> Iterator[np.ndarray]:
    """Yields scenes of a minute, in turns: white, pink and brown noise, mains hum, chords, melodies."""
    generator = np.random.default_rng(0)
    scenes = (
        lambda size: coloured_noise(size, 0.0, generator),
        lambda size: coloured_noise(size, 1.0, generator),
        lambda size: coloured_noise(size, 2.0, generator),
        lambda size: _mains_hum(size, generator),
        lambda size: _music(size, generator, notes_at_once=3),
        lambda size: _music(size, generator, notes_at_once=1),
    )
    for minute in range(minutes):
        scene = np.asarray(scenes[minute % len(scenes)](SCENE_SECONDS * SAMPLING_RATE))
        level = SCENE_DBFS[minute // len(scenes) % len(SCENE_DBFS)]
        scene = scene * 10 ** (level / 20) / np.sqrt(np.mean(scene**2))
        yield np.clip(scene, -1.0, 1.0).astype(np.float32)


def other_words() -> list[np.ndarray]:
    """Words that are no digit, half of them neighbours of one; no model learned from them or their voices.

    Raises:
        CorpusError: If espeak-ng is not installed.
    """
    return [clip.waveform() for clip in spoken_words("test", len(WORDS["test"]))]


def _mains_hum(size: int, generator: np.random.Generator) -> np.ndarray:
    """Mains of 50 or 60 Hz with harmonics that fall as 1 / n."""
    mains = generator.choice([50.0, 60.0])
    times = np.arange(size) / SAMPLING_RATE
    orders = np.arange(1, HUM_HARMONICS + 1)[:, np.newaxis]
    phases = generator.uniform(0, 2 * np.pi, size=orders.shape)
    return np.sum(np.sin(2 * np.pi * mains * orders * times + phases) / orders, axis=0)


def _music(size: int, generator: np.random.Generator, notes_at_once: int) -> np.ndarray:
    """Plucked notes of random pitch and length, several at once, with harmonics and decay."""
    # Not the music of ``finetune.corpus.non_words``: what models learned to refuse would test nothing.
    music = np.zeros(size)
    for _ in range(notes_at_once):
        position = 0
        while position < size:
            length = min(round(generator.uniform(0.15, 0.8) * SAMPLING_RATE), size - position)
            times = np.arange(length) / SAMPLING_RATE
            pitch = 110.0 * SEMITONE ** generator.integers(0, 36)
            harmonics = sum(np.sin(2 * np.pi * pitch * n * times) / n**1.5 for n in range(1, 7))
            music[position : position + length] += np.exp(-4.0 * times) * harmonics
            position += length
    return music
