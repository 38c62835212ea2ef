"""What is no digit: noises, hum and music-like tones by the hour, and other words."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from finetune.augmentation import coloured_noise
from inference.audio import SAMPLING_RATE, decode_audio
from inference.errors import UserError

SCENE_SECONDS = 60
#: Loudness of the scenes, from a quiet fan to music beside the microphone.
SCENE_DBFS = (-50.0, -40.0, -30.0)
SEMITONE = 2 ** (1 / 12)
OTHER_WORDS = """
hello yes no stop start please thanks water table window garden music yellow orange people
computer monday friday coffee bottle paper summer winter letter number question answer doctor
kitchen mother father brother sister house street city money dinner basket hammer candle pencil
rocket banana tomato potato camera guitar hotel pizza radio robot salad tiger zebra apple bread
cheese dragon engine forest ghost happy island jacket king lemon mirror night ocean park queen
river snow tree under village wall young cat dog fish bird horse sheep cow mouse left right up
down go back home open close play pause next last again never always maybe today
""".split()  # noqa: SIM905 (a list of so many strings is hard to read)
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3")


def noise_minutes(minutes: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields scenes of a minute, in turns: white, pink and brown noise, mains hum, chords, melodies."""
    generator = np.random.default_rng(seed)
    scenes = (
        lambda size: coloured_noise(size, 0.0, generator),
        lambda size: coloured_noise(size, 1.0, generator),
        lambda size: coloured_noise(size, 2.0, generator),
        lambda size: _hum(size, generator),
        lambda size: _music(size, generator, notes_at_once=3),
        lambda size: _music(size, generator, notes_at_once=1),
    )
    for minute in range(minutes):
        scene = np.asarray(scenes[minute % len(scenes)](SCENE_SECONDS * SAMPLING_RATE))
        level = SCENE_DBFS[minute // len(scenes) % len(SCENE_DBFS)]
        scene = scene * 10 ** (level / 20) / np.sqrt(np.mean(scene**2))
        yield np.clip(scene, -1.0, 1.0).astype(np.float32)


def other_words() -> list[np.ndarray]:
    """Words that are no digit, each by one of four voices of espeak-ng.

    Raises:
        UserError: If espeak-ng is not installed.
    """
    if shutil.which("espeak-ng") is None:
        raise UserError(
            "the other words need espeak-ng: apt-get install espeak-ng, or leave the part words out."
        )
    with tempfile.TemporaryDirectory() as folder:
        return [
            _say(word, VOICES[number % len(VOICES)], Path(folder, f"{number}.wav"))
            for number, word in enumerate(OTHER_WORDS)
        ]


def _say(word: str, voice: str, path: Path) -> np.ndarray:
    subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), word], check=True)
    return decode_audio(path)


def _hum(size: int, generator: np.random.Generator) -> np.ndarray:
    """Mains of 50 or 60 Hz with harmonics that fall as 1 / n."""
    times = np.arange(size) / SAMPLING_RATE
    mains = generator.choice([50.0, 60.0])
    return np.asarray(sum(np.sin(2 * np.pi * mains * n * times) / n for n in range(1, 11)))


def _music(size: int, generator: np.random.Generator, notes_at_once: int) -> np.ndarray:
    """Plucked notes of random pitch and length, several at once, with harmonics and decay."""
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
