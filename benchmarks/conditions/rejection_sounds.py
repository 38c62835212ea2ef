"""Sounds that are no word of the vocabulary: what a recogniser should refuse."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.conditions import noises
from benchmarks.conditions.noises import NARROWBAND_HZ, Draw
from benchmarks.conditions.table import condition_generator
from finetune.corpus.clip import Clip
from inference.audio import SAMPLING_RATE, resample

NOISE_SECONDS = 0.6
NOISE_DBFS = -30.0


@dataclass(frozen=True)
class RejectionSound:
    """One sound: its name, its kind for the tables, its float32 samples at 16 kHz."""

    clip_id: str
    kind: str
    waveform: np.ndarray


def rejection_sounds(clips: Sequence[Clip], per_kind: int) -> Iterator[RejectionSound]:
    """Makes the same sounds from the same clips.

    Silence, white and speech-shaped noise, words played backwards, halves of two words and two words
    joined. The last two are spoken by one person, so that only the content is wrong.

    Args:
        clips: Words of the test, in any order.
        per_kind: Sounds of each kind; fewer where there are fewer clips.
    """
    length = round(NOISE_SECONDS * NARROWBAND_HZ)
    level = 10 ** (NOISE_DBFS / 20)
    yield RejectionSound("silence_0", "silence", np.zeros(round(NOISE_SECONDS * SAMPLING_RATE), np.float32))
    for kind, noise in (("white noise", noises.white), ("speech-shaped noise", noises.speech_shaped)):
        for number in range(per_kind):
            draw = Draw(condition_generator(str(number), kind), "", ())
            yield _named(kind, number, _wide(level * noise(length, draw)))
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    generator = condition_generator("non-words", "choice")
    chosen = [ordered[place] for place in generator.permutation(len(ordered))[:per_kind]]
    for number, clip in enumerate(chosen):
        yield _named("reversed", number, np.ascontiguousarray(clip.waveform()[::-1]))
    for number, clip in enumerate(chosen):
        others = [other for other in ordered if other.speaker == clip.speaker and other.label != clip.label]
        if others:
            first, second = clip.waveform(), others[generator.integers(len(others))].waveform()
            halves = [first[: first.size // 2], second[second.size // 2 :]]
            yield _named("two halves", number, np.concatenate(halves))
            yield _named("two words", number, np.concatenate([first, second]))


def _named(kind: str, number: int, waveform: np.ndarray) -> RejectionSound:
    return RejectionSound(f"{kind.replace(' ', '-')}_{number}", kind, waveform)


def _wide(sound: np.ndarray) -> np.ndarray:
    return np.clip(resample(sound.astype(np.float32), NARROWBAND_HZ, SAMPLING_RATE), -1.0, 1.0)
