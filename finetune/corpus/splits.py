"""Train, validation and test: three protocols, each a pure function of the clips and a seed."""

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from finetune.corpus.clip import Clip
from inference.errors import CorpusError
from inference.vocabulary import vocabulary

if TYPE_CHECKING:
    from sklearn.model_selection import StratifiedGroupKFold

PROTOCOLS = ("official", "loso", "speaker-disjoint")
#: Share of each speaker's and label's training takes, or of the speakers, that validates.
VALIDATION_SHARE = 0.1
TEST_SPEAKER_SHARE = 0.2
#: Parts of a cross-validation.
MAX_FOLDS = 5


@dataclass(frozen=True)
class Split:
    """Three disjoint lists of clips.

    Attributes:
        protocol: One of ``PROTOCOLS``.
        seed: Decides the speakers of ``speaker-disjoint`` and the validation speaker of ``loso``.
        fold: The held-out speaker of ``loso``, None otherwise.
        train: Clips to learn from.
        validation: Clips for every choice: epoch, temperature, threshold. Never in ``test``.
        test: Clips for the reported figures.
        synthetic: Made-up voices to learn from beside ``train``; never validated or tested on.
    """

    protocol: str
    seed: int
    fold: str | None
    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]
    synthetic: tuple[Clip, ...] = ()

    @property
    def training_clips(self) -> tuple[Clip, ...]:
        """Everything to learn from: recordings and synthetic voices."""
        return (*self.train, *self.synthetic)

    def without_validation(self) -> "Split":
        """The same split with the validation clips to learn from as well."""
        return replace(self, train=(*self.train, *self.validation), validation=())

    @property
    def fingerprint(self) -> str:
        """Hash of the test clips' ids and labels: equal fingerprints mean the same test set."""
        return fingerprint(self.test)

    @property
    def caption(self) -> str:
        """What a figure measured on this split says, for tables."""
        absent = "".join(
            f"; no clips of {', '.join(labels)} in {part}" for part, labels in self.absent_labels.items()
        )
        if self.protocol == "official":
            return f"official: the speakers of the test are those of the training part, saturated{absent}"
        if self.protocol == "loso":
            return f"loso: speaker {self.fold} held out{absent}"
        speakers = ", ".join(_speakers(self.test))
        return f"speaker-disjoint (seed {self.seed}): test speakers {speakers}{absent}"

    @property
    def absent_labels(self) -> dict[str, list[str]]:
        """Part -> labels of the vocabulary without a clip in it, where there are any."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test}
        absent = {
            name: [label for label in vocabulary().labels if label not in {clip.label for clip in part}]
            for name, part in parts.items()
            if part
        }
        return {name: labels for name, labels in absent.items() if labels}


def make_split(
    clips: Sequence[Clip], protocol: str = "official", seed: int = 0, fold: str | None = None
) -> Split:
    """Splits a corpus.

    ``official`` takes the corpus's own test and validation set; without the latter it validates on the
    lowest-numbered training takes of each speaker and label. ``loso`` tests on one speaker and validates
    on another. ``speaker-disjoint`` draws test, validation and training speakers with the seed.

    Raises:
        CorpusError: If the protocol or fold is unknown or the corpus has too few speakers.
    """
    if protocol not in PROTOCOLS:
        raise CorpusError(f"unknown protocol {protocol!r}; choose one of: {', '.join(PROTOCOLS)}.")
    if fold is not None and protocol != "loso":
        raise CorpusError(f"a fold ({fold}) goes with the protocol loso, not with {protocol}.")
    if protocol == "official":
        train, validation, test = _official(clips)
    else:
        train, validation, test = _by_speaker(clips, protocol, seed, fold)
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        if not part:
            raise CorpusError(
                f"the protocol {protocol} leaves no {name} clips in this corpus of {len(clips)} clips "
                f"and {len(_speakers(clips))} speakers; add recordings or choose another protocol: "
                f"{', '.join(PROTOCOLS)}."
            )
    return Split(protocol, seed, fold, tuple(train), tuple(validation), tuple(test))


def speaker_groups(speakers: np.ndarray, label_ids: np.ndarray) -> np.ndarray:
    """What a cross-validation keeps together: speakers; clips where not every label is spoken by two."""
    spoken_by = [set(speakers[label_ids == label_id]) for label_id in np.unique(label_ids)]
    return speakers if all(len(names) > 1 for names in spoken_by) else np.arange(len(speakers))


def grouped_folds(label_ids: np.ndarray, groups: np.ndarray, most: int = MAX_FOLDS) -> "StratifiedGroupKFold":
    """Folds of whole groups, ``most`` at most, in each of which every label has a chance to be."""
    from sklearn.model_selection import StratifiedGroupKFold

    least = min(np.unique(groups[label_ids == label_id]).size for label_id in np.unique(label_ids))
    return StratifiedGroupKFold(min(most, least))


def fingerprint(clips: Iterable[Clip]) -> str:
    """First 16 hex digits of the SHA-256 over the sorted ``clip_id label`` lines."""
    lines = sorted(f"{clip.clip_id} {clip.label}\n" for clip in clips)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def _official(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip], list[Clip]]:
    test = [clip for clip in clips if clip.official_test]
    validation = [clip for clip in clips if clip.official_validation]
    train = [clip for clip in clips if not (clip.official_test or clip.official_validation)]
    if validation:
        return train, validation, test
    takes: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in train:
        takes[clip.speaker, clip.label].append(clip)
    train = []
    for group in takes.values():
        group.sort(key=lambda clip: clip.index)
        # One take of a lone pair would leave nothing to learn from.
        num_validation = max(1, round(len(group) * VALIDATION_SHARE)) if len(group) > 1 else 0
        validation += group[:num_validation]
        train += group[num_validation:]
    return train, validation, test


def _by_speaker(
    clips: Sequence[Clip], protocol: str, seed: int, fold: str | None
) -> tuple[list[Clip], list[Clip], list[Clip]]:
    speakers = _speakers(clips)
    if len(speakers) < 3:
        raise CorpusError(
            f"the protocol {protocol} needs at least 3 speakers (train, validation, test); this corpus "
            f"has {len(speakers)}: {', '.join(speakers)}. Use --protocol official."
        )
    shuffled = random.Random(seed).sample(speakers, len(speakers))
    if protocol == "loso":
        if fold is None:
            raise CorpusError(
                f"the protocol loso needs --fold SPEAKER; choose one of: {', '.join(speakers)}."
            )
        if fold not in speakers:
            raise CorpusError(f"fold {fold!r} is not a speaker; choose one of: {', '.join(speakers)}.")
        test_speakers = {fold}
        validation_speakers = {shuffled[(shuffled.index(fold) + 1) % len(shuffled)]}
    else:
        num_test = max(1, round(len(speakers) * TEST_SPEAKER_SHARE))
        num_validation = max(1, round(len(speakers) * VALIDATION_SHARE))
        test_speakers = set(shuffled[:num_test])
        validation_speakers = set(shuffled[num_test : num_test + num_validation])
    test = [clip for clip in clips if clip.speaker in test_speakers]
    validation = [clip for clip in clips if clip.speaker in validation_speakers]
    train = [clip for clip in clips if clip.speaker not in test_speakers | validation_speakers]
    return train, validation, test


def _speakers(clips: Iterable[Clip]) -> list[str]:
    return sorted({clip.speaker for clip in clips})
