"""What a run works on: the clips of its protocols, decoded, and a checkpoint for every row and fold."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from benchmarks.run.checkpoints import Assignment, assign_checkpoints
from benchmarks.run.entries import Row
from benchmarks.run.protocol import Evaluation, Fold, refuse_overlap
from benchmarks.worker.waveform_file import StoredClip, store_clips
from finetune.corpus.loading import Corpus
from inference.audio import waveform_hash

Item = TypeVar("Item")


@dataclass(frozen=True)
class Materials:
    """Protocols, clips and checkpoints, checked against each other.

    Attributes:
        rows: The backends.
        evaluations: The protocols.
        clips: Protocol -> fold -> decoded clips.
        assignments: (row, protocol) -> checkpoints.
        scratch: Folder for samples, removed at the end.
    """

    rows: Sequence[Row]
    evaluations: Sequence[Evaluation]
    clips: Mapping[str, Mapping[str | None, Sequence[StoredClip]]]
    assignments: Mapping[tuple[str, str], Assignment]
    scratch: Path

    @property
    def sample(self) -> list[StoredClip]:
        """The clips of the first protocol, which sizes and times are measured on."""
        return [clip for fold in self.clips[self.evaluations[0].protocol].values() for clip in fold]

    def timed_row(self, row: Row) -> Row:
        """The row with the checkpoint that is weighed and timed: the first that any protocol loads."""
        for evaluation in self.evaluations:
            found = self.assignments[row.name, evaluation.protocol]
            for checkpoint in () if found.unfitted else found.checkpoints.values():
                return replace(row, checkpoint=checkpoint)
        return row


def gather(
    rows: Sequence[Row],
    evaluations: Sequence[Evaluation],
    scratch: Path,
    fit: Callable[[Row, Evaluation, Fold], Path],
    allow_leak: bool,
) -> Materials:
    """Decodes the clips, refuses leaks and finds the checkpoints.

    Args:
        rows: The backends.
        evaluations: The protocols.
        scratch: Folder for the samples.
        fit: Returns the checkpoint of a baseline for a fold, see ``assign_checkpoints``.
        allow_leak: Whether to measure checkpoints that were trained on test clips.

    Raises:
        UserError: If a clip cannot be decoded, or something would be tested on what it has learned.
    """
    # Protocols over one corpus share its decoded clips.
    corpora = {id(evaluation.corpus): evaluation.corpus for evaluation in evaluations}
    stores = {key: _store(corpus, evaluations, scratch) for key, corpus in corpora.items()}
    clips: dict[str, dict[str | None, list[StoredClip]]] = {}
    assignments: dict[tuple[str, str], Assignment] = {}
    for evaluation in evaluations:
        store = stores[id(evaluation.corpus)]
        hashes = {clip_id: clip.pcm_sha for clip_id, clip in store.items()}
        unheard = {clip for fold in evaluation.folds for clip in fold.train if clip.clip_id not in hashes}
        hashes |= {clip.clip_id: waveform_hash(clip.waveform()) for clip in progress(sorted_clips(unheard))}
        refuse_overlap(evaluation, hashes)
        clips[evaluation.protocol] = {
            fold.speaker: [store[clip.clip_id] for clip in fold.test] for fold in evaluation.folds
        }
        for row in rows:
            assignments[row.name, evaluation.protocol] = assign_checkpoints(
                row, rows, evaluation, hashes, fit, allow_leak
            )
    return Materials(rows, evaluations, clips, assignments, scratch)


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


def _store(corpus: Corpus, evaluations: Sequence[Evaluation], scratch: Path) -> dict[str, StoredClip]:
    """Every clip of a corpus that some protocol tests on, decoded once."""
    tested = {clip for e in evaluations if e.corpus is corpus for clip in e.clips}
    path = scratch / f"corpus-{id(corpus)}.f32"
    return {clip.clip_id: clip for clip in store_clips(progress(sorted_clips(tested)), path)}
