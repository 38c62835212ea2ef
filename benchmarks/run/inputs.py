"""What a run works on: the clips of its protocols, decoded, and a checkpoint for every entry and fold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.run.entries import Entry
from benchmarks.worker.waveform_file import StoredClip
from finetune.corpus.clip import Clip, Corpus


@dataclass(frozen=True)
class Fold:
    """One test list and what may be learned from.

    Attributes:
        speaker: The held-out speaker; None where there are no folds.
        train: Clips that a checkpoint may know.
    """

    speaker: str | None
    train: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclass(frozen=True)
class TestSet:
    """A protocol applied to a corpus.

    Attributes:
        protocol: What was typed, for an outside corpus ``external:`` and the name of its folder.
        caption: What a figure measured on it says.
        new_speakers: Whether nobody who is tested was learned from: the speaker is then the job.
        num_test_clips: All test clips before a subset was taken.
        other_words: Recordings of unheard voices without a word of the vocabulary, which are asked, too.
    """

    protocol: str
    corpus: Corpus
    caption: str
    new_speakers: bool
    folds: tuple[Fold, ...]
    num_test_clips: int
    fingerprint: str
    other_words: tuple[Clip, ...] = ()

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The clips to measure on, fold after fold."""
        return tuple(clip for fold in self.folds for clip in fold.test)


@dataclass(frozen=True)
class FoldCheckpoints:
    """The checkpoints of one entry under one protocol.

    Attributes:
        by_fold: Held-out speaker (None without folds) -> folder, Hub id or model size; empty if
            the entry cannot be measured under this protocol.
        leaked_clips: Test clips that a checkpoint was trained on, under a protocol of new speakers also
            those whose speaker it was trained on; None without split cards.
        trained_on: What the cards say was learned from; None unless all that is loaded has a card.
        train_clips: Recorded clips learned from or chosen by, the most of any fold.
        fold_checkpoints: Whether every fold has a checkpoint that never heard its speaker.
        unfitted: Whether baselines are to be fitted before: a plan only says so.
    """

    by_fold: Mapping[str | None, str]
    reason: str | None = None
    fix: str | None = None
    leaked_clips: int | None = None
    trained_on: str | None = None
    train_clips: int | None = None
    fold_checkpoints: bool = False
    unfitted: bool = False


@dataclass(frozen=True)
class Inputs:
    """Protocols, clips and checkpoints, checked against each other.

    Attributes:
        clips: Protocol -> fold -> decoded clips.
        checkpoints: (entry, protocol) -> a checkpoint for each fold.
        scratch: Folder for samples, removed at the end.
        other_words: Protocol -> decoded recordings without a word of the vocabulary.
    """

    entries: Sequence[Entry]
    test_sets: Sequence[TestSet]
    clips: Mapping[str, Mapping[str | None, Sequence[StoredClip]]]
    checkpoints: Mapping[tuple[str, str], FoldCheckpoints]
    scratch: Path
    other_words: Mapping[str, Sequence[StoredClip]] = field(default_factory=dict)

    @property
    def sample(self) -> list[StoredClip]:
        """The clips of the first protocol, which sizes and times are measured on."""
        return [clip for fold in self.clips[self.test_sets[0].protocol].values() for clip in fold]

    def timed_entry(self, entry: Entry) -> Entry:
        """The entry with the checkpoint that is measured and timed: the first that any protocol loads."""
        for test_set in self.test_sets:
            found = self.checkpoints[entry.name, test_set.protocol]
            for checkpoint in () if found.unfitted else found.by_fold.values():
                return replace(entry, checkpoint=checkpoint)
        return entry


@dataclass(frozen=True, eq=False)
class Job:
    """What is asked in one go: one entry with one checkpoint under one protocol, fold and condition.

    Attributes:
        condition: ``clean``, ``other-words`` or a condition of the robustness phase.
        clip_ids: What is asked, in the order of the records.
        clips: The clips themselves, made when they are needed.
        key: Hash of everything that the answers depend on.
    """

    entry: Entry
    protocol: str
    condition: str
    fold: str | None
    checkpoint: str
    clip_ids: Sequence[str]
    clips: Callable[[], Sequence[StoredClip]]
    key: str


@dataclass(frozen=True)
class NoisyTestSet:
    """The clips of one condition, under the protocol that the robustness phase uses.

    Attributes:
        family: What belongs together in a curve.
        level: In the unit of the family; None for a family of one.
        clips: Fold -> clips, made when they are asked for.
        clip_ids: Fold -> what they are called.
    """

    condition: str
    family: str
    level: float | None
    clips: Mapping[str | None, Callable[[], Sequence[StoredClip]]]
    clip_ids: Mapping[str | None, Sequence[str]]
