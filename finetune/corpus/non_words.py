"""Sounds that are no word of the vocabulary: other words, broken digits, noise, music, silence.

They make the class ``REJECT_LABEL``. Every sound is an ordinary clip, recorded or made when it is read.
Words, voices and digits behind the three parts of a split are disjoint.
"""

import random
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from finetune.augmentation import clip_generator
from finetune.corpus.clip import Clip, clip_from_path, wav_bytes
from finetune.corpus.synthetic import (
    ACCENTS,
    FLITE_VOICES,
    HELD_OUT_VARIANTS,
    TRAINING_VARIANTS,
    SpokenWord,
    draw_word,
    load_spoken_words,
)
from finetune.effects import coloured_noise
from inference.audio import SAMPLING_RATE
from inference.audio_files import list_audio
from inference.errors import CorpusError
from inference.features import trim_silence
from inference.vocabulary import REJECT_LABEL, vocabulary

# Everyday words, words that people say to machines, and neighbours of digits; no homophone of a
# digit ("for", "to", "won", "ate"), and no word in two lists. Many to learn from: a model that knows few
# other words takes the rest for digits.
_TRAINING_WORDS_PATH = Path(__file__).with_name("training_words.txt")
_VALIDATION_WORDS = """
help back start end enter search message camera picture bedroom bread cheese sugar brother uncle
forest ocean silver golden lion rabbit bottle basket school teacher doctor tuesday sunday april
october key tea bee fee sky tie lie pie bone tone phone loan bed red head seventh-day sever bacon
waiter eighty sixty thirteen first third billion quarter undo exit menu slower brighter sorry
"""
_TEST_WORDS = """
home yesterday reverse wrong correct alarm timer radio dinner lunch chicken butter cousin baby
island desert black white horse donkey mirror carpet office village hospital thursday saturday march
december sea knee she eye high guide nice night none tune one-way oven often story forty fifty
seventeen eleventh fraction comma hyphen select confirm faster darker welcome goodbye zero-in hollow
shadow sixth-form sister-in-law freeze threat tool-box tooth nightly hello yes no stop please thanks
water table window garden music yellow orange people computer monday friday coffee paper summer
winter letter number question answer kitchen mother father sister house street city money hammer
candle pencil rocket banana tomato potato guitar hotel pizza robot salad tiger zebra apple dragon
engine ghost happy jacket king lemon park queen river snow under wall young cat dog fish bird sheep
cow mouse left right up down go open close play pause next last again never always maybe today
"""
#: Part of a split -> words.
WORDS: dict[str, tuple[str, ...]] = {
    "train": tuple(_TRAINING_WORDS_PATH.read_text(encoding="utf-8").split()),
    "validation": tuple(_VALIDATION_WORDS.split()),
    "test": tuple(_TEST_WORDS.split()),
}
#: Voices of the parts. Digits to learn from have those of training, or a voice would tell the class.
VARIANTS: dict[str, tuple[str, ...]] = {
    "train": TRAINING_VARIANTS,
    "validation": HELD_OUT_VARIANTS[:4],
    "test": HELD_OUT_VARIANTS[4:],
}
#: Other words of each voice of flite.
NUM_FLITE_WORDS = 50
#: What the sounds consist of, in tenths.
KINDS = ("word",) * 5 + ("reversed", "cut", "joined", "noise", "music")
#: Recordings hold few different words: so much of the words is espeak-ng's all the same.
LEAST_SPOKEN_SHARE = 1 / 3
#: A recording of a rare word is learned from at most so often an epoch.
MAX_REPETITIONS = 8


def non_words(
    digits: Sequence[Clip], part: str, num_clips: int, recorded: Sequence[Clip] = ()
) -> tuple[Clip, ...]:
    """Clips of the class ``REJECT_LABEL`` for one part of a split.

    Half of them are other words: recorded ones, of which rare words are repeated in training, and words of
    espeak-ng. A model should also learn digits of those voices (``--synthetic_share``), or the class becomes
    "sounds like espeak-ng".

    Args:
        digits: Digits of the same part, to be reversed, cut and joined.
        part: "train", "validation" or "test".
        num_clips: How many there should be; more where more than half as many were recorded.
        recorded: Recordings of other words, all of which are used.

    Raises:
        CorpusError: If espeak-ng is missing.
    """
    kinds = [KINDS[number % len(KINDS)] for number in range(num_clips)]
    made = [_made(kind, part, number, digits) for number, kind in enumerate(kinds) if kind != "word"]
    if part == "train":
        recorded = repeat_rare_words(recorded)
    num_words = kinds.count("word")
    num_words = max(num_words - len(recorded), round(LEAST_SPOKEN_SHARE * num_words))
    return (*recorded, *_words(part, num_words), *made)


def repeat_rare_words(recorded: Sequence[Clip]) -> tuple[Clip, ...]:
    """Repeats recordings until each word is there about as often as the mean one; each has an id of its own.

    What a user will say by mistake is not what a corpus happens to hold in bulk.

    Args:
        recorded: Recordings; the word is what their file names say, and those without one are not repeated.
    """
    named = [clip_from_path(Path(clip.clip_id)) for clip in recorded]
    counts = Counter(name.label for name in named if name)
    mean = sum(counts.values()) / len(counts) if counts else 0
    return tuple(
        replace(clip, clip_id=f"{clip.clip_id}, {number + 1}") if number else clip
        for clip, name in zip(recorded, named, strict=True)
        for number in range(min(max(round(mean / counts[name.label]), 1), MAX_REPETITIONS) if name else 1)
    )


def recorded_non_words(folders: Sequence[str], part: str | None = None) -> tuple[Clip, ...]:
    """Recordings of what is no word of the vocabulary, as clips of the class ``REJECT_LABEL``.

    Args:
        folders: Where they lie, under any name; one like a clip's tells who speaks.
        part: "train", "validation" or "test"; a speaker, or a file that names none, is in one of them only.
            All recordings if None.

    Raises:
        CorpusError: If a folder holds no audio, or a file bears the name of a word of the vocabulary.
    """
    clips = (clip for folder in folders for clip in _recorded(Path(folder)))
    return tuple(clip for clip in clips if part in (None, _part_of(clip.speaker)))


def spoken_words(part: str, num_clips: int) -> tuple[Clip, ...]:
    """Only the words of espeak-ng, each as often as it takes."""
    return tuple(_words(part, num_clips))


def word_plan(part: str, num_clips: int) -> list[SpokenWord]:
    """Draws a voice for each word that is none of the vocabulary; a pure function of it and the arguments."""
    generator = random.Random(f"words that are no digits, {part}")
    names = vocabulary().label_of_name
    words = [word for word in WORDS[part] if word not in names]
    generator.shuffle(words)  # a list in the order of the alphabet would give few sounds its beginning only
    return [
        draw_word(
            words[number % len(words)],
            f"{generator.choice(ACCENTS)}+{generator.choice(VARIANTS[part])}",
            number,
            generator,
        )
        for number in range(num_clips)
    ]


def flite_words() -> tuple[Clip, ...]:
    """Words of the test part in the voices of flite, which no model has learned from.

    Raises:
        CorpusError: If flite is not installed or fails.
    """
    generator = random.Random("words of flite")
    words = [word for word in WORDS["test"] if word not in vocabulary().label_of_name]
    drawn = [
        draw_word(word, voice, index, generator)
        for voice in FLITE_VOICES
        for index, word in enumerate(generator.sample(words, NUM_FLITE_WORDS))
    ]
    return tuple(_none_of("flite", load_spoken_words("words", drawn)))


def _words(part: str, num_clips: int) -> list[Clip]:
    if not num_clips:
        return []
    return _none_of(part, load_spoken_words(f"words-{part}", word_plan(part, num_clips)))


def _none_of(part: str, clips: Sequence[Clip]) -> list[Clip]:
    return [replace(clip, clip_id=f"non_words/{part}/{clip.clip_id}", label=REJECT_LABEL) for clip in clips]


def _made(kind: str, part: str, number: int, digits: Sequence[Clip]) -> Clip:
    clip_id = f"non_words/{part}/{kind}_{number}"
    generator = clip_generator(0, 0, clip_id)
    chosen = digits[int(generator.integers(len(digits)))]
    others = [clip for clip in digits if clip.speaker == chosen.speaker and clip.label != chosen.label]
    second = others[int(generator.integers(len(others)))] if others else chosen
    make: dict[str, Callable[[], np.ndarray]] = {
        "reversed": lambda: chosen.waveform()[::-1],
        "cut": lambda: _cut(chosen.waveform(), clip_generator(1, 0, clip_id)),
        "joined": lambda: np.concatenate([trim_silence(clip.waveform()) for clip in (chosen, second)]),
        "noise": lambda: _noise(clip_generator(1, 0, clip_id)),
        "music": lambda: _music(clip_generator(1, 0, clip_id)),
    }
    speaker = kind if kind in ("noise", "music") else chosen.speaker
    return Clip(clip_id, REJECT_LABEL, speaker, number, False, partial(_wav, make[kind]))


def _cut(waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The first or the last third of a word, or a little more."""
    word = trim_silence(waveform)
    length = max(int(word.size * generator.uniform(0.3, 0.45)), SAMPLING_RATE // 8)
    return word[:length] if generator.random() < 0.5 else word[-length:]


def _noise(generator: np.random.Generator) -> np.ndarray:
    """Steady noise, a burst as of a cough or a knock, or nothing but the faint noise of a room."""
    num_samples = int(generator.uniform(0.25, 1.0) * SAMPLING_RATE)
    noise = coloured_noise(num_samples, generator.uniform(0.0, 2.0), generator)
    kind = generator.integers(3)
    if kind == 0:
        return noise * np.float32(10 ** (generator.uniform(-80.0, -60.0) / 20))
    noise *= np.float32(10 ** (generator.uniform(-45.0, -20.0) / 20))
    if kind == 1:
        decay = generator.uniform(0.02, 0.2) * SAMPLING_RATE
        noise *= np.exp(-np.arange(num_samples) / decay).astype(np.float32)
    return noise


def _music(generator: np.random.Generator) -> np.ndarray:
    """One to three tones with harmonics at once, swelling or dying away: a chord, a ring, a hum."""
    times = np.arange(int(generator.uniform(0.2, 1.0) * SAMPLING_RATE)) / SAMPLING_RATE
    sound = np.zeros(times.size)
    for _ in range(int(generator.integers(1, 4))):
        frequency_hz = 50.0 * 2 ** generator.uniform(0.0, 5.0)
        steepness = generator.uniform(0.5, 2.5)
        for harmonic in range(1, 1 + min(int(4000 / frequency_hz), 12)):
            phase = generator.uniform(0.0, 2 * np.pi)
            sound += harmonic**-steepness * np.sin(2 * np.pi * frequency_hz * harmonic * times + phase)
    sound *= np.minimum(times / generator.uniform(0.002, 0.1), 1.0)
    sound *= np.exp(-times / generator.uniform(0.05, 2.0))
    level = 10 ** (generator.uniform(-45.0, -20.0) / 20)
    return (sound * level / max(float(np.sqrt(np.mean(sound**2))), 1e-9)).astype(np.float32)


def sounds(part: str, num_clips: int) -> list[np.ndarray]:
    """Only noise and music, in turn; float32 waveforms at 16 kHz."""
    makers = (_noise, _music)
    return [
        makers[number % 2](clip_generator(0, 0, f"sounds/{part}/{number}")) for number in range(num_clips)
    ]


def _part_of(speaker: str) -> str:
    """Three speakers in five are learned from."""
    parts = ("train", "train", "train", "validation", "test")
    return parts[zlib.crc32(speaker.encode()) % len(parts)]


def _recorded(folder: Path) -> list[Clip]:
    paths = list_audio(folder).files
    if not paths:
        raise CorpusError(f"{folder} holds no audio files; expected recordings of what is no digit.")
    clips = []
    for number, path in enumerate(paths):
        named = clip_from_path(path)
        if named and named.label.lower() in vocabulary().label_of_name:
            raise CorpusError(
                f"{path} bears the name of {named.label}, a word of the vocabulary: keep such recordings out "
                "of the folders of --non_words and --validation_non_words."
            )
        clip_id = f"non_words/{folder.parent.name}-{folder.name}/{path.relative_to(folder)}"
        speaker = named.speaker if named else path.stem
        clips.append(Clip(clip_id, REJECT_LABEL, speaker, number, False, partial(Path, path)))
    return clips


def _wav(make: Callable[[], np.ndarray]) -> bytes:
    return wav_bytes(make())
