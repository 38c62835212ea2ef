"""What a run works on: the clips of its protocols, decoded, and a checkpoint for every entry and fold."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from benchmarks.run.entries import Entry
from benchmarks.run.protocol import TestSet
from benchmarks.worker.waveform_file import StoredClip

Item = TypeVar("Item")


@dataclass(frozen=True)
class FoldCheckpoints:
    """The checkpoints of one entry under one protocol.

    Attributes:
        by_fold: Held-out speaker (None without folds) -> folder, Hub id or model size; empty if
            the entry cannot be measured under this protocol.
        reason: Why not.
        fix: What would mend it.
        leaked_clips: Test clips that a checkpoint was trained on, under a protocol of new speakers also
            those whose speaker it was trained on; None without split cards.
        trained_on: The corpora that the cards name; None unless all that is loaded has a card.
        train_clips: Clips learned from, the most of any fold.
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
        entries: The backends.
        test_sets: The protocols.
        clips: Protocol -> fold -> decoded clips.
        checkpoints: (entry, protocol) -> a checkpoint for each fold.
        scratch: Folder for samples, removed at the end.
    """

    entries: Sequence[Entry]
    test_sets: Sequence[TestSet]
    clips: Mapping[str, Mapping[str | None, Sequence[StoredClip]]]
    checkpoints: Mapping[tuple[str, str], FoldCheckpoints]
    scratch: Path

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
        entry: The backend.
        protocol: Name of the protocol.
        condition: ``clean`` or a condition of the robustness phase.
        fold: The held-out speaker; None without folds.
        checkpoint: What is loaded.
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
        condition: As in the records.
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


def say(line: str) -> None:
    """Tells what is being done."""
    sys.stderr.write(f"{line}\n")


def progress(items: Iterable[Item], unit: str = "clip") -> Iterable[Item]:
    """Shows how far a loop is and how long it will take; nothing where standard error is no terminal."""
    return tqdm(items, unit=unit, leave=False, disable=None)
