"""What a run works on: the clips of its protocols, decoded, and a checkpoint for every entry and fold."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from benchmarks.run.checkpoints import FoldCheckpoints, find_checkpoints
from benchmarks.run.entries import Entry
from benchmarks.run.protocol import Fold, TestSet, refuse_overlap
from benchmarks.worker.waveform_file import StoredClip, store_clips
from finetune.corpus.loading import Corpus
from inference.audio import waveform_hash

Item = TypeVar("Item")


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


def prepare_inputs(
    entries: Sequence[Entry],
    test_sets: Sequence[TestSet],
    scratch: Path,
    fit: Callable[[Entry, TestSet, Fold], Path],
    allow_leak: bool,
) -> Inputs:
    """Decodes the clips, refuses leaks and finds the checkpoints.

    Args:
        entries: The backends.
        test_sets: The protocols.
        scratch: Folder for the samples.
        fit: Returns the checkpoint of a baseline for a fold, see ``find_checkpoints``.
        allow_leak: Whether to measure checkpoints that were trained on test clips.

    Raises:
        UserError: If a clip cannot be decoded, or something would be tested on what it has learned.
    """
    # Protocols over one corpus share its decoded clips.
    corpora = {id(test_set.corpus): test_set.corpus for test_set in test_sets}
    stores = {key: _store(corpus, test_sets, scratch) for key, corpus in corpora.items()}
    clips: dict[str, dict[str | None, list[StoredClip]]] = {}
    checkpoints: dict[tuple[str, str], FoldCheckpoints] = {}
    for test_set in test_sets:
        store = stores[id(test_set.corpus)]
        hashes = {clip_id: clip.pcm_sha for clip_id, clip in store.items()}
        unheard = {clip for fold in test_set.folds for clip in fold.train if clip.clip_id not in hashes}
        hashes |= {clip.clip_id: waveform_hash(clip.waveform()) for clip in progress(sorted_clips(unheard))}
        refuse_overlap(test_set, hashes)
        clips[test_set.protocol] = {
            fold.speaker: [store[clip.clip_id] for clip in fold.test] for fold in test_set.folds
        }
        for entry in entries:
            checkpoints[entry.name, test_set.protocol] = find_checkpoints(
                entry, entries, test_set, hashes, fit, allow_leak
            )
    return Inputs(entries, test_sets, clips, checkpoints, scratch)


def say(line: str) -> None:
    """Tells what is being done."""
    sys.stderr.write(f"{line}\n")


def progress(items: Iterable[Item], unit: str = "clip") -> Iterable[Item]:
    """Shows how far a loop is and how long it will take; nothing where standard error is no terminal."""
    from tqdm import tqdm

    return tqdm(items, unit=unit, leave=False, disable=None)


def sorted_clips(clips: Iterable[Item]) -> list[Item]:
    """Clips in the order of their ids."""
    return sorted(clips, key=lambda clip: clip.clip_id)  # type: ignore[attr-defined]


def _store(corpus: Corpus, test_sets: Sequence[TestSet], scratch: Path) -> dict[str, StoredClip]:
    """Every clip of a corpus that some protocol tests on, decoded once."""
    tested = {clip for e in test_sets if e.corpus is corpus for clip in e.clips}
    path = scratch / f"corpus-{id(corpus)}.f32"
    return {clip.clip_id: clip for clip in store_clips(progress(sorted_clips(tested)), path)}
