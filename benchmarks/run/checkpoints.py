"""Which checkpoint answers which fold, small ones fitted here, and the guard against leaked test clips."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.run.content_hashes import code_hash, combined_hash
from benchmarks.run.entries import Entry, portable_path
from benchmarks.run.inputs import Fold, FoldCheckpoints, TestSet
from finetune.checkpoint.split_card import SplitCard, read_split_card
from finetune.corpus.loading import Corpus
from finetune.corpus.splits import fingerprint
from inference.backends.table import (
    BACKENDS,
    CARD_NAME,
    backend_class,
    checkpoint_parts,
    member_names,
    read_members,
)
from inference.errors import UserError
from inference.files import cache_folder

#: Backend -> the baseline that is fitted for each fold in seconds.
FITTED = {"mfcc": "mfcc-svm"}
#: Uses of a source of words that a model learned from, see ``CorpusSource``.
LEARNED_FROM = ("split", "learned from")
#: Name and checkpoint of a part of a composite, see ``read_members``.
Member = tuple[str, str]


def find_checkpoints(
    entry: Entry,
    entries: Sequence[Entry],
    test_set: TestSet,
    hashes: Mapping[str, str],
    fit: Callable[[Entry, TestSet, Fold], Path],
    allow_leak: bool = False,
) -> FoldCheckpoints:
    """Finds a checkpoint for every fold.

    A folder of fold checkpoints serves a protocol with folds; without one the small baselines are
    fitted, and any other checkpoint serves if it was trained on no test clip. A backend that asks
    others does so with the checkpoints that their own entries are measured with, unless it names others.

    Args:
        hashes: Clip id -> hash of its samples, of the test clips.
        fit: Returns the checkpoint of the entry's baseline for a fold; fits it, or only says where it
            will lie.
        allow_leak: Whether to measure a checkpoint that was trained on test clips.

    Raises:
        UserError: If a fold's checkpoint is missing, or one was trained on test clips.
    """

    def checked(checkpoints: Mapping[str | None, str], unfitted: bool = False) -> FoldCheckpoints:
        return _checked(FoldCheckpoints(checkpoints, unfitted=unfitted), entry, test_set, hashes, allow_leak)

    # One that was calibrated as a whole, a folder, is asked as it is.
    if entry.spec.composite and member_names(entry.checkpoint) == entry.checkpoint:
        members: dict[Member, FoldCheckpoints] = {}
        # Nothing is fitted for an ensemble that another member leaves without a checkpoint.
        for named in sorted(read_members(entry.checkpoint), key=lambda named: named[0] in FITTED):
            # What has leaked is refused below, for the whole.
            found = find_checkpoints(
                _member_entry(named, entries), entries, test_set, hashes, fit, allow_leak=True
            )
            if not found.by_fold:
                return FoldCheckpoints({}, f"{entry.name}: {found.reason}", found.fix)
            members[named] = found
        return _checked(_joined(entry, members, test_set), entry, test_set, hashes, allow_leak)
    shared = {fold.speaker: entry.checkpoint for fold in test_set.folds}
    if test_set.folds[0].speaker is None:
        return checked(shared)
    if entry.folds is not None:
        return checked({fold.speaker: str(_fold_folder(entry.folds, fold)) for fold in test_set.folds})
    if not entry.is_default or not _leaks(entry, shared, test_set, hashes):
        return checked(shared)
    if entry.spec.name in FITTED and not entry.options:
        folders = {fold.speaker: fit(entry, test_set, fold) for fold in test_set.folds}
        unfitted = not all((folder / CARD_NAME).is_file() for folder in folders.values())
        return checked({speaker: str(folder) for speaker, folder in folders.items()}, unfitted)
    return FoldCheckpoints(
        {},
        f"{entry.name}: its checkpoint has heard every speaker, and {test_set.protocol} needs one for "
        "each held-out speaker.",
        f"Train them, one sub-folder per speaker, and pass --checkpoint {entry.name}=FOLDER",
    )


def _fold_folder(folds: Path, fold: Fold) -> Path:
    folder = folds / str(fold.speaker)
    if not (folder / CARD_NAME).is_file():
        raise UserError(
            f"{folds} has no checkpoint for the held-out speaker {fold.speaker}: train {folder}, or measure "
            "only some speakers with --fold."
        )
    return folder


def _member_entry(named: Member, entries: Sequence[Entry]) -> Entry:
    """The entry of the run for a member named without a checkpoint, where the run has one."""
    name, checkpoint = named
    spec = BACKENDS[name]
    is_default = checkpoint == spec.default_checkpoint
    known = {other.name: other for other in entries} if is_default else {}
    return known.get(name) or Entry(name, spec, checkpoint, is_default=is_default)


def _joined(entry: Entry, members: Mapping[Member, FoldCheckpoints], test_set: TestSet) -> FoldCheckpoints:
    """For every fold the checkpoints that the members answer it with, in the order of the ensemble."""
    named = read_members(entry.checkpoint)
    by_fold = {}
    for fold in test_set.folds:
        found = [(member[0], members[member].by_fold[fold.speaker]) for member in named]
        joined = "+".join(f"{name}={checkpoint}" for name, checkpoint in found)
        # Its own members keep the operating point that was chosen for them together.
        by_fold[fold.speaker] = entry.checkpoint if found == named else joined
    return FoldCheckpoints(by_fold, unfitted=any(found.unfitted for found in members.values()))


def _cards(entry: Entry, checkpoint: str) -> list[SplitCard | None]:
    """The cards of all that is loaded and learned this task, None for a part without one."""
    if not entry.spec.composite:
        return [read_split_card(Path(checkpoint))]
    return [
        read_split_card(Path(part))
        for name, folder in read_members(checkpoint)
        if not _is_zero_shot(name)
        for part in checkpoint_parts(BACKENDS[name], folder)
    ]


def _is_zero_shot(name: str) -> bool:
    try:
        return backend_class(BACKENDS[name]).zero_shot
    except ModuleNotFoundError:  # What cannot be loaded is told when it is.
        return False


def _leaks(
    entry: Entry, checkpoints: Mapping[str | None, str], test_set: TestSet, hashes: Mapping[str, str]
) -> dict[str, int]:
    """Checkpoint -> number of test clips of its folds that it was trained on, if there are any."""
    leaks: dict[str, int] = {}
    for fold in test_set.folds:
        checkpoint = checkpoints[fold.speaker]
        cards = [card for card in _cards(entry, checkpoint) if card is not None]
        asked = (*fold.test, *test_set.other_words)
        leaked = {
            clip
            for card in cards
            for clip in card.leaked(test_set.corpus, asked, hashes, test_set.new_speakers)
        }
        if leaked:
            leaks[checkpoint] = leaks.get(checkpoint, 0) + len(leaked)
    return leaks


def _checked(
    found: FoldCheckpoints, entry: Entry, test_set: TestSet, hashes: Mapping[str, str], allow_leak: bool
) -> FoldCheckpoints:
    """The found with what the cards say; refuses those that name test clips."""
    checkpoints = found.by_fold
    leaks = _leaks(entry, checkpoints, test_set, hashes)
    if leaks and not allow_leak:
        raise UserError(_leak_message(entry, test_set, leaks))
    parts = [card for checkpoint in dict.fromkeys(checkpoints.values()) for card in _cards(entry, checkpoint)]
    cards = [card for card in parts if card is not None]
    if not cards or len(cards) < len(parts):
        return found
    return replace(
        found,
        leaked_clips=sum(leaks.values()),
        trained_on=_material(cards),
        train_clips=max(len(card.train_clips) for card in cards),
        fold_checkpoints=len(set(checkpoints.values())) == len(checkpoints) > 1,
    )


def _material(cards: Sequence[SplitCard]) -> str:
    """What was learned from, without the comma that parts remarks in tables."""
    names = list(dict.fromkeys(card.corpus for card in cards))
    sources = {source for card in cards for source in card.sources}
    num_more = len({source.description for source in sources if source.use in LEARNED_FROM}) - len(names)
    more = [f"{num_more} more corp{'us' if num_more == 1 else 'ora'}"] if num_more > 0 else []
    others = ["other words"] if any(source.use == "non-words" for source in sources) else []
    made = ["synthetic voices"] if any(card.num_synthetic_clips for card in cards) else []
    return " + ".join([*names, *more, *others, *made])


def _leak_message(entry: Entry, test_set: TestSet, leaks: Mapping[str, int]) -> str:
    lines: Sequence[str] = [
        f"{portable_path(checkpoint)} ({entry.name}) was trained on {number} of the clips of the test split "
        f"{test_set.protocol}{', or on their speakers' if test_set.new_speakers else ''}."
        for checkpoint, number in leaks.items()
    ]
    return "\n".join(lines) + (
        "\nIts accuracy here would say nothing about new recordings. Either measure a checkpoint that was "
        f"trained on this split (--checkpoint {entry.name}=FOLDER), choose the --protocol, --fold and --seed "
        "it was trained with, leave the entry out (--backends ...), or say --allow-leak: the entry is then "
        "marked LEAK in every table."
    )


class BaselineFitter:
    """Fits baselines for held-out speakers and keeps them for the next run."""

    def __init__(self, dataset: str, seed: int):
        self._dataset = dataset
        self._seed = seed

    def folder(self, entry: Entry, test_set: TestSet, fold: Fold) -> Path:
        """Where the checkpoint of a fold lies, or will."""
        assert fold.speaker is not None
        return cache_folder() / "folds" / self._key(test_set.corpus) / entry.spec.name / fold.speaker

    def __call__(self, entry: Entry, test_set: TestSet, fold: Fold) -> Path:
        """The checkpoint of a fold, fitted unless it is in the cache.

        Raises:
            UserError: If it cannot be fitted.
        """
        folder = self.folder(entry, test_set, fold)
        if (folder / CARD_NAME).is_file():
            return folder
        sys.stderr.write(f"{entry.name}: fitting without {fold.speaker}\n")
        command = [sys.executable, "-m", "finetune.fit_baseline", "--model", FITTED[entry.spec.name]]
        options = {
            "--dataset": self._dataset,
            "--protocol": "loso",
            "--fold": str(fold.speaker),
            "--seed": str(self._seed),
            "--out": str(folder),
        }
        words = [word for pair in options.items() for word in pair]
        # Nothing is chosen or reported here: one fit, of all clips but the held-out speaker's.
        words.append("--skip_validation")
        done = subprocess.run([*command, *words], capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise UserError(f"{entry.name} could not be fitted without {fold.speaker}: {last[0]}")
        return folder

    def _key(self, corpus: Corpus) -> str:
        """Changes with the clips, the seed and the code that fits."""
        return combined_hash(fingerprint(corpus.clips), str(self._seed), code_hash("finetune", "inference"))
