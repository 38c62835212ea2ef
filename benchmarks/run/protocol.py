"""On which clips is measured, who was held out, and the guards against testing on what was learned."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from finetune.corpus.loading import Clip, Corpus, load_corpus
from finetune.corpus.splits import PROTOCOLS, Split, fingerprint, make_split
from inference.errors import UserError

EXTERNAL = "external:"
LOSO_LITE = "loso-lite"
PROTOCOL_HELP = f"{', '.join(PROTOCOLS)}, {LOSO_LITE} (few clips of each held-out speaker), {EXTERNAL}FOLDER"


@dataclass(frozen=True)
class Fold:
    """One test list and what may be learned from.

    Attributes:
        speaker: The held-out speaker; None where there are no folds.
        train: Clips that a checkpoint may know.
        test: Clips to measure on.
    """

    speaker: str | None
    train: tuple[Clip, ...]
    test: tuple[Clip, ...]


@dataclass(frozen=True)
class TestSet:
    """A protocol applied to a corpus.

    Attributes:
        protocol: What was typed, for an outside corpus ``external:`` and the name of its folder.
        corpus: Where the clips come from.
        caption: What a figure measured on it says.
        new_speakers: Whether nobody who is tested was learned from: the speaker is then the job.
        folds: The test lists.
        num_test_clips: All test clips before a subset was taken.
        fingerprint: Of all test clips.
    """

    protocol: str
    corpus: Corpus
    caption: str
    new_speakers: bool
    folds: tuple[Fold, ...]
    num_test_clips: int
    fingerprint: str

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The clips to measure on, fold after fold."""
        return tuple(clip for fold in self.folds for clip in fold.test)


def make_test_set(
    protocol: str, corpus: Corpus, seed: int, speakers: Sequence[str] | None, limit: int | None
) -> TestSet:
    """Applies a protocol.

    Args:
        protocol: One of ``PROTOCOL_HELP``.
        corpus: The corpus of the run; not used by an outside protocol.
        seed: Seed of the split.
        speakers: The held-out speakers to measure; all of them if None.
        limit: Most clips to measure, spread over speakers and digits.

    Raises:
        UserError: If the protocol is unknown.
        CorpusError: If it does not fit the corpus.
    """
    if protocol.startswith(EXTERNAL):
        folder = protocol.removeprefix(EXTERNAL)
        if not folder:
            raise UserError(f"--protocol {EXTERNAL} names no folder; expected {EXTERNAL}FOLDER.")
        corpus = load_corpus(folder)
        protocol = f"{EXTERNAL}{Path(folder).name or folder}"
        caption = f"{protocol}: recordings that no training clip comes from"
        folds = [Fold(None, (), corpus.clips)]
    elif protocol in ("loso", LOSO_LITE):
        caption = f"{protocol}: each speaker held out in turn"
        chosen = speakers or corpus.speakers
        folds = [_fold(make_split(corpus.clips, "loso", seed, speaker)) for speaker in chosen]
        if protocol == LOSO_LITE:
            folds = [
                Fold(fold.speaker, fold.train, tuple(clip for clip in fold.test if clip.official_test))
                for fold in folds
            ]
        if speakers:
            caption = f"{protocol}: held out {', '.join(speakers)}"
    elif protocol in PROTOCOLS:
        split = make_split(corpus.clips, protocol, seed)
        folds, caption = [_fold(split)], split.caption
    else:
        raise UserError(f"--protocol {protocol}: expected one of: {PROTOCOL_HELP}.")
    tests = [clip for fold in folds for clip in fold.test]
    kept = set(tests if limit is None else stratified_subset(tests, limit))
    return TestSet(
        protocol=protocol,
        corpus=corpus,
        caption=caption,
        new_speakers=protocol != "official",
        folds=tuple(
            Fold(fold.speaker, fold.train, test)
            for fold in folds
            if (test := tuple(clip for clip in fold.test if clip in kept))
        ),
        num_test_clips=len(tests),
        fingerprint=fingerprint(tests),
    )


def refuse_overlap(test_set: TestSet, hashes: Mapping[str, str]) -> None:
    """Stops if a fold tests on what it may learn from.

    Args:
        test_set: The protocol.
        hashes: Clip id -> hash of its samples, for its test and training clips.

    Raises:
        UserError: If a speaker under leave one speaker out, or the same recording under two names, is
            on both sides.
    """
    for fold in test_set.folds:
        heard = {clip.speaker for clip in fold.train}
        shared = sorted(heard & {clip.speaker for clip in fold.test})
        if test_set.new_speakers and shared:
            raise UserError(
                f"{test_set.protocol}: {', '.join(shared)} would be both learned from and tested; "
                "give every person one name in the file names."
            )
        learned = {hashes[clip.clip_id]: clip.clip_id for clip in fold.train}
        twins = [(clip.clip_id, learned.get(hashes[clip.clip_id])) for clip in fold.test]
        for test_id, train_id in twins:
            if train_id is not None:
                raise UserError(
                    f"{test_set.protocol}: the clips {test_id} (test) and {train_id} (training) hold the "
                    "same samples, so the test would measure memory: remove one of them."
                )


def _fold(split: Split) -> Fold:
    return Fold(split.fold, (*split.train, *split.validation), split.test)


class Labelled(Protocol):
    """Anything with the two properties that a subset is balanced over."""

    @property
    def label(self) -> str | None:
        """The digit spoken."""

    @property
    def speaker(self) -> str:
        """Who spoke it."""


Clips = TypeVar("Clips", bound=Labelled)


def stratified_subset(
    clips: Sequence[Clips], size: int, kind: Callable[[Clips], Any] = lambda clip: clip.label
) -> list[Clips]:
    """The first clips, as evenly over speakers and kinds as the size allows; order is kept.

    Clips are taken along the diagonals of the table speakers x kinds, so that even ten clips hold
    every label once and as many speakers as possible.

    Args:
        clips: What to choose from.
        size: How many to take; all of them if there are no more.
        kind: What to balance over beside the speaker.
    """
    kinds = _positions(kind(clip) for clip in clips)
    speakers = _positions(clip.speaker for clip in clips)
    taken: dict[tuple[str, Any], int] = {}
    ranks = []
    for position, clip in enumerate(clips):
        cell = (clip.speaker, kind(clip))
        taken[cell] = taken.get(cell, -1) + 1
        diagonal = (speakers[clip.speaker] - kinds[kind(clip)]) % len(speakers)
        ranks.append((taken[cell], diagonal, kinds[kind(clip)], position))
    return [clips[rank[-1]] for rank in sorted(sorted(ranks)[:size], key=lambda rank: rank[-1])]


def _positions(values: Iterable[Any]) -> Mapping[Any, int]:
    return {value: position for position, value in enumerate(sorted(set(values)))}
