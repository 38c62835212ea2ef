"""On which clips is measured, who was held out, and the guards against testing on what was learned."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.run.inputs import Fold, TestSet
from benchmarks.run.subset import stratified_subset
from finetune.corpus.clip import Clip, Corpus
from finetune.corpus.loading import load_corpus
from finetune.corpus.non_words import flite_words, recorded_non_words
from finetune.corpus.splits import PROTOCOLS, Split, fingerprint, make_split
from inference.errors import UserError

EXTERNAL = "external:"
AUTO = "auto"
#: The corpus where there are no recordings.
FLITE = "flite"
UNHEARD = f"{EXTERNAL}{FLITE}"
PROTOCOL_HELP = (
    f"{', '.join(PROTOCOLS)}, {EXTERNAL}FOLDER, {UNHEARD} (synthetic voices that no shipped model has "
    f"learned from, and other words), {AUTO} (official; where there are no recordings {UNHEARD})"
)


def make_test_set(
    protocol: str,
    corpus: Corpus,
    seed: int,
    speakers: Sequence[str] | None,
    limit: int | None,
    other_words: Path | None = None,
) -> TestSet:
    """Applies a protocol.

    Args:
        protocol: One of ``PROTOCOL_HELP``.
        corpus: The corpus of the run; not used by an outside protocol.
        speakers: The held-out speakers to measure; all of them if None.
        limit: Most clips to measure, spread over speakers and digits; as many other words.
        other_words: For an outside protocol, a folder of recordings without a word of the vocabulary.

    Raises:
        UserError: If the protocol is unknown.
        CorpusError: If it does not fit the corpus.
    """
    others: tuple[Clip, ...] = ()
    if protocol == AUTO:
        protocol = UNHEARD if corpus.name == FLITE else "official"
    if protocol.startswith(EXTERNAL):
        folder = protocol.removeprefix(EXTERNAL)
        if not folder:
            raise UserError(f"--protocol {EXTERNAL} names no folder; expected {EXTERNAL}FOLDER.")
        corpus = load_corpus(folder)
        protocol = f"{EXTERNAL}{Path(folder).name or folder}"
        caption = "voices that no model was trained on"
        folds = [Fold(None, (), corpus.clips)]
        if other_words is not None:
            others = _other_words(other_words, limit)
            caption += f", and {len(others)} recordings of other words from the folder {other_words.name}"
        elif protocol == UNHEARD:
            others = _at_most(flite_words(), limit)
            caption += f", and {len(others)} other words"
    elif protocol == "loso":
        caption = f"{protocol}: each speaker held out in turn"
        chosen = speakers or corpus.speakers
        folds = [_fold(make_split(corpus.clips, "loso", seed, speaker)) for speaker in chosen]
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
        other_words=others,
    )


def _other_words(folder: Path, limit: int | None) -> tuple[Clip, ...]:
    if not folder.is_dir():
        raise UserError(f"--other-words {folder} is no folder; expected recordings without a word to know.")
    return _at_most(recorded_non_words([str(folder)]), limit)


def _at_most(clips: tuple[Clip, ...], limit: int | None) -> tuple[Clip, ...]:
    if limit is None:
        return clips
    return tuple(stratified_subset(clips, limit, kind=lambda clip: Path(clip.clip_id).name.partition("_")[0]))


def refuse_overlap(test_set: TestSet, hashes: Mapping[str, str]) -> None:
    """Stops if a fold tests on what it may learn from.

    Args:
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
