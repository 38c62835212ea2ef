"""The vocabulary spoken by espeak-ng, or by flite: a corpus that needs no network and no download.

A voice (accent and variant) plays the part of a speaker. The clips are made once into a cache and
are the same for the same seed and version of the program. Shipped models have learned from voices of
espeak-ng and from none of flite. Figures say that the machinery works, not how well a recogniser does on
people.
"""

import hashlib
import os
import random
import re
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from finetune.corpus.clip import NUM_OFFICIAL_TEST_TAKES, Clip, Corpus, clip_from_path, wav_bytes
from finetune.corpus.folder import load_folder
from finetune.corpus.splits import Split
from inference.audio import SAMPLING_RATE, resample
from inference.errors import CorpusError, UserError
from inference.features import trim_silence
from inference.files import cache_folder, new_folder
from inference.vocabulary import DIGITS, vocabulary

NUM_VOICES = 12
NUM_TAKES = 15
ACCENTS = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
#: Ways to speak that no words beside the recordings have; the synthetic corpus itself has them all.
HELD_OUT_VARIANTS = VARIANTS[:8]
#: Those of training material: not all of them sound like people.
TRAINING_VARIANTS = (
    *VARIANTS[8:],
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "antonio", "aunty", "belinda", "benjamin", "boris"),
    *("caleb", "david", "Denis", "Diogo", "ed", "edward", "edward2", "Gene", "Gene2", "gustave"),
    *("Henrique", "Hugo", "iven", "iven2", "iven3", "iven4", "Jacky", "john", "kaukovalta", "Lee", "linda"),
    *("marcelo", "Marco", "Mario", "max", "Michael", "michel", "miguel", "Mike", "Nguyen", "pablo", "paul"),
    *("pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2", "steph3", "Storm", "travis"),
    *("victor", "zac", "anika", "grandma", "grandpa", "klatt", "klatt2", "klatt3", "klatt4", "norbert"),
)
#: Voices of flite (Carnegie Mellon University, a licence like BSD's) -> their usual pitch in Hz. Its fifth is
#: the first of these in a narrower band.
FLITE_VOICES = {"flite-kal16": 105.0, "flite-awb": 105.0, "flite-rms": 100.0, "flite-slt": 180.0}
NUM_FLITE_TAKES = 6
WORDS_PER_MINUTE = (110, 220)
PITCH = (15, 85)
LEVEL_DBFS = (-32.0, -18.0)


@dataclass(frozen=True)
class SpokenWord:
    """How one synthetic clip is spoken; ``label`` is one of the vocabulary, or the word itself."""

    label: str
    voice: str
    index: int
    words_per_minute: int
    pitch: int
    level_dbfs: float

    @property
    def file_name(self) -> str:
        """Named like a recorded clip, the voice being the speaker."""
        return f"{self.label}_{self.voice.replace('+', '-')}_{self.index}.wav"


def load_synthetic(seed: int = 0, num_voices: int = NUM_VOICES, num_takes: int = NUM_TAKES) -> Corpus:
    """Loads the synthetic corpus, making it first where the cache does not hold it.

    Raises:
        CorpusError: If espeak-ng is not installed or fails.
    """
    folder = (
        cache_folder()
        / f"synthetic-{espeak_version()}{_other_vocabulary()}-seed{seed}-{num_voices}x{num_takes}"
    )
    if not folder.is_dir():
        _make(plan(seed, num_voices, num_takes), folder)
    corpus = load_folder(folder)
    description = (
        f"{len(corpus.clips)} clips of {num_voices} synthetic voices (espeak-ng {espeak_version()}, "
        f"seed {seed}): not people"
    )
    return Corpus("synthetic", description, corpus.clips)


def load_flite() -> Corpus:
    """Loads the vocabulary in the voices of flite, made first where the cache does not hold it.

    Raises:
        CorpusError: If flite is not installed or fails.
    """
    generator = random.Random("flite corpus")
    words = [
        draw_word(label, voice, index, generator)
        for voice in FLITE_VOICES
        for label in vocabulary().labels
        for index in range(NUM_FLITE_TAKES)
    ]
    clips = load_spoken_words("digits", words)
    named = (
        replace(
            clip,
            clip_id=f"{clip.label}_{clip.speaker}_{clip.index}",
            official_test=clip.index < NUM_OFFICIAL_TEST_TAKES,
        )
        for clip in clips
    )
    description = f"{len(clips)} clips of {len(FLITE_VOICES)} synthetic voices ({_engine(words)}): not people"
    return Corpus("flite", description, tuple(sorted(named, key=lambda clip: clip.clip_id)))


def with_synthetic(split: Split, share: float, corpus_name: str) -> Split:
    """Adds synthetic voices to what a model learns from; validation and test stay as they are.

    Args:
        split: Where recordings are split already.
        share: Share of the result's training clips that are synthetic, from 0 to below 1.
        corpus_name: ``Corpus.name`` of the recordings; the synthetic corpus stays as it is, because a
            recipe with a share should also run where there are no recordings.

    Raises:
        CorpusError: If espeak-ng is missing.
        UserError: If the share is out of range.
    """
    if not 0.0 <= share < 1.0:
        raise UserError(f"--synthetic_share {share}: expected a share from 0 to below 1.")
    if share == 0.0 or corpus_name == "synthetic":
        return split
    # As many of each label.
    num_utterances = round(share / (1 - share) * len(split.train) / len(vocabulary().labels))
    return replace(split, synthetic=training_voices(max(num_utterances, 1)))


def training_voices(num_utterances: int) -> tuple[Clip, ...]:
    """So many utterances of each label, each in a voice, rate and pitch of its own.

    Raises:
        CorpusError: If espeak-ng is not installed or fails.
    """
    return load_spoken_words("training", training_plan(num_utterances))


def load_spoken_words(name: str, words: Sequence[SpokenWord]) -> tuple[Clip, ...]:
    """The clips of a plan, made first where the cache does not hold them; sorted by file name.

    Args:
        name: Of the plan, for people who look into the cache.
        words: What is spoken, and how.

    Raises:
        CorpusError: If the program that speaks them is not installed or fails.
    """
    origin = f"synthetic-{_engine(words)}{_other_vocabulary()}-{name}"
    digest = hashlib.sha256(repr(list(words)).encode()).hexdigest()[:8]
    folder = cache_folder() / f"{origin}-{len(words)}-{digest}"
    if not folder.is_dir():
        _make(words, folder)
    clips = filter(None, map(clip_from_path, sorted(folder.iterdir())))
    return tuple(replace(clip, clip_id=f"{origin}/{clip.clip_id}", official_test=False) for clip in clips)


def training_plan(num_utterances: int) -> list[SpokenWord]:
    """Draws a voice for each utterance of each label; a pure function of its argument and the vocabulary."""
    generator = random.Random("synthetic training voices")
    return [
        draw_word(
            label, f"{generator.choice(ACCENTS)}+{generator.choice(TRAINING_VARIANTS)}", index, generator
        )
        for index in range(num_utterances)
        for label in vocabulary().labels
    ]


def draw_word(label: str, voice: str, index: int, generator: random.Random) -> SpokenWord:
    """Draws how a voice speaks a word."""
    return SpokenWord(
        label=label,
        voice=voice,
        index=index,
        words_per_minute=generator.randint(*WORDS_PER_MINUTE),
        pitch=generator.randint(*PITCH),
        level_dbfs=generator.uniform(*LEVEL_DBFS),
    )


def plan(seed: int, num_voices: int, num_takes: int) -> list[SpokenWord]:
    """Draws voices, rates, pitches and levels; a pure function of its arguments and the vocabulary."""
    generator = random.Random(f"synthetic corpus {seed}")
    voices = [f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS]
    return [
        draw_word(label, voice, index, generator)
        for voice in generator.sample(voices, num_voices)
        for label in vocabulary().labels
        for index in range(num_takes)
    ]


def _engine(words: Sequence[SpokenWord]) -> str:
    """The program that speaks them, and its version."""
    return f"flite-{flite_version()}" if words[0].voice in FLITE_VOICES else espeak_version()


def _other_vocabulary() -> str:
    words = vocabulary()
    return "" if words.fingerprint == DIGITS.fingerprint else f"-{words.fingerprint}"


def espeak_version() -> str:
    """The version of espeak-ng, "1.51"."""
    return _version("espeak-ng")


def flite_version() -> str:
    """The version of flite, "2.2"."""
    return _version("flite")


def _version(program: str) -> str:
    # flite tells its version and exits with 1.
    match = re.search(
        r"(\d+\.\d+(\.\d+)?)", _call(program, "--version", check=False).decode(errors="replace")
    )
    return match[1] if match else "unknown"


def speak(text: str, voice: str, words_per_minute: int = 160, pitch: int = 50) -> np.ndarray:
    """Speaks a text.

    Args:
        text: English words.
        voice: One of ``FLITE_VOICES``, or an espeak-ng voice, optionally with a variant: "en-us+f3".
        words_per_minute: Speaking rate.
        pitch: 0 to 99, espeak-ng's own scale.

    Returns:
        Float32 waveform of shape ``(num_samples,)`` at 16 kHz, silence trimmed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        if voice in FLITE_VOICES:
            features = {
                "duration_stretch": 160 / words_per_minute,
                "int_f0_target_mean": FLITE_VOICES[voice] * (0.8 + 0.4 * pitch / 99),
            }
            options = [word for name, value in features.items() for word in ("--setf", f"{name}={value:.3f}")]
            _call("flite", "-voice", voice.removeprefix("flite-"), *options, "-t", text, "-o", str(path))
        else:
            options = ["-v", voice, "-s", str(words_per_minute), "-p", str(pitch)]
            _call("espeak-ng", *options, "-w", str(path), text)
        with wave.open(str(path)) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
            rate = file.getframerate()
    return trim_silence(resample(pcm.astype(np.float32) / 32768.0, rate, SAMPLING_RATE))


def _call(program: str, *arguments: str, check: bool = True) -> bytes:
    try:
        return subprocess.run([program, *arguments], check=check, capture_output=True).stdout
    except FileNotFoundError:
        raise CorpusError(
            f"synthetic voices need {program}, which is not installed. Install it: "
            f"'sudo apt-get install {program}' on Debian or Ubuntu, 'brew install {program}' on macOS."
        ) from None
    except subprocess.CalledProcessError as error:
        raise CorpusError(f"{program} failed: {error.stderr.decode(errors='replace').strip()}") from error


def _make(words: Sequence[SpokenWord], folder: Path) -> None:
    from tqdm import tqdm

    # Threads suffice: the work is in the processes that speak. The bar is for terminals only.
    with new_folder(folder) as unfinished, ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda word: _write(word, unfinished), words)
        for _ in tqdm(made, total=len(words), desc="synthetic corpus", unit="clip", disable=None):
            pass


def _write(word: SpokenWord, folder: Path) -> None:
    text = vocabulary().spoken_forms.get(word.label, (word.label,))[0]
    waveform = speak(text, word.voice, word.words_per_minute, word.pitch)
    rms = float(np.sqrt(np.mean(np.square(waveform))))
    waveform = waveform * (10 ** (word.level_dbfs / 20) / rms)
    (folder / word.file_name).write_bytes(wav_bytes(waveform))
