"""Decodes the clips of a run, refuses leaks and finds a checkpoint for every entry and fold."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.run.checkpoints import find_checkpoints
from benchmarks.run.entries import Entry
from benchmarks.run.inputs import Fold, FoldCheckpoints, Inputs, TestSet
from benchmarks.run.progress import progress
from benchmarks.run.protocol import refuse_overlap
from benchmarks.worker.waveform_file import StoredClip, store_clips
from finetune.corpus.clip import Corpus
from inference.audio import waveform_hash

Item = TypeVar("Item")


def prepare_inputs(
    entries: Sequence[Entry],
    test_sets: Sequence[TestSet],
    scratch: Path,
    fit: Callable[[Entry, TestSet, Fold], Path],
    allow_leak: bool,
) -> Inputs:
    """Decodes the clips, refuses leaks and finds the checkpoints.

    Args:
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
    others: dict[str, list[StoredClip]] = {}
    for test_set in test_sets:
        store = stores[id(test_set.corpus)]
        hashes = {clip_id: clip.pcm_sha for clip_id, clip in store.items()}
        unheard = {clip for fold in test_set.folds for clip in fold.train if clip.clip_id not in hashes}
        hashes |= {clip.clip_id: waveform_hash(clip.waveform()) for clip in progress(sorted_clips(unheard))}
        refuse_overlap(test_set, hashes)
        if test_set.other_words:
            path = scratch / f"other-words-{len(others)}.f32"
            others[test_set.protocol] = store_clips(progress(test_set.other_words), path)
            hashes |= {clip.clip_id: clip.pcm_sha for clip in others[test_set.protocol]}
        clips[test_set.protocol] = {
            fold.speaker: [store[clip.clip_id] for clip in fold.test] for fold in test_set.folds
        }
        for entry in entries:
            checkpoints[entry.name, test_set.protocol] = find_checkpoints(
                entry, entries, test_set, hashes, fit, allow_leak
            )
    return Inputs(entries, test_sets, clips, checkpoints, scratch, others)


def sorted_clips(clips: Iterable[Item]) -> list[Item]:
    """Clips in the order of their ids."""
    return sorted(clips, key=lambda clip: clip.clip_id)  # type: ignore[attr-defined]


def _store(corpus: Corpus, test_sets: Sequence[TestSet], scratch: Path) -> dict[str, StoredClip]:
    """Every clip of a corpus that some protocol tests on, decoded once."""
    tested = {clip for e in test_sets if e.corpus is corpus for clip in e.clips}
    path = scratch / f"corpus-{id(corpus)}.f32"
    return {clip.clip_id: clip for clip in store_clips(progress(sorted_clips(tested)), path)}
