"""Which checkpoint answers which fold, and the guard against those that learned from test clips."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.protocol import Evaluation, Fold
from benchmarks.rows import Row, portable_path
from finetune.corpus import Corpus
from finetune.corpus.splits import fingerprint
from finetune.split_card import CARD_NAME, SplitCard, read_split_card
from inference.errors import UserError

#: Backend -> the baseline that is fitted for each fold in seconds.
FITTED = {"mfcc": "mfcc-svm"}


@dataclass(frozen=True)
class Assignment:
    """The checkpoints of one row under one protocol.

    Attributes:
        checkpoints: Held-out speaker (None without folds) -> folder, Hub id or model size; empty if
            the row cannot be measured under this protocol.
        reason: Why not.
        fix: What would mend it.
        leaked_clips: Test clips that a checkpoint was trained on; None without split cards.
        trained_on: The corpus that the cards name.
        train_clips: Clips learned from, the most of any fold.
        fold_checkpoints: Whether every fold has a checkpoint that never heard its speaker.
    """

    checkpoints: Mapping[str | None, str]
    reason: str | None = None
    fix: str | None = None
    leaked_clips: int | None = None
    trained_on: str | None = None
    train_clips: int | None = None
    fold_checkpoints: bool = False


def assign_checkpoints(
    row: Row,
    evaluation: Evaluation,
    hashes: Mapping[str, str],
    fit: Callable[[Row, Evaluation, Fold], Path],
    allow_leak: bool = False,
) -> Assignment:
    """Finds a checkpoint for every fold.

    A folder of fold checkpoints serves a protocol with folds; without one the small baselines are
    fitted, and any other checkpoint serves if it was trained on no test clip.

    Args:
        row: The backend.
        evaluation: The protocol.
        hashes: Clip id -> hash of its samples, of the test clips.
        fit: Fits the row's baseline for a fold and returns its checkpoint.
        allow_leak: Whether to measure a checkpoint that was trained on test clips.

    Raises:
        UserError: If a fold's checkpoint is missing, or one was trained on test clips.
    """
    if evaluation.folds[0].speaker is None:
        return _checked({None: row.checkpoint}, row, evaluation, hashes, allow_leak)
    if row.folds is not None:
        checkpoints = {fold.speaker: str(_fold_folder(row.folds, fold)) for fold in evaluation.folds}
        return _checked(checkpoints, row, evaluation, hashes, allow_leak)
    shared: dict[str | None, str] = {fold.speaker: row.checkpoint for fold in evaluation.folds}
    if not row.is_default or not _leaks(shared, evaluation, hashes):
        return _checked(shared, row, evaluation, hashes, allow_leak)
    if row.spec.name in FITTED and not row.options:
        checkpoints = {fold.speaker: str(fit(row, evaluation, fold)) for fold in evaluation.folds}
        return _checked(checkpoints, row, evaluation, hashes, allow_leak)
    return Assignment(
        {},
        f"{row.name}: its checkpoint has heard every speaker, and {evaluation.protocol} needs one for "
        "each held-out speaker.",
        f"Train them, one sub-folder per speaker, and pass --checkpoint {row.name}=FOLDER",
    )


class BaselineFitter:
    """Fits baselines for held-out speakers and keeps them for the next run.

    Args:
        dataset: What the corpus was loaded from.
        seed: Seed of the split.
    """

    def __init__(self, dataset: str, seed: int):
        self._dataset = dataset
        self._seed = seed

    def __call__(self, row: Row, evaluation: Evaluation, fold: Fold) -> Path:
        """The checkpoint of a fold, fitted unless it is in the cache.

        Raises:
            UserError: If it cannot be fitted.
        """
        assert fold.speaker is not None
        folder = _cache_folder() / self._key(evaluation.corpus) / row.spec.name / fold.speaker
        if (folder / CARD_NAME).is_file():
            return folder
        sys.stderr.write(f"{row.name}: fitting without {fold.speaker}\n")
        command = [sys.executable, "-m", "finetune.fit_baseline", "--model", FITTED[row.spec.name]]
        options = {
            "--dataset": self._dataset,
            "--protocol": "loso",
            "--fold": fold.speaker,
            "--seed": str(self._seed),
            "--out": str(folder),
        }
        words = [word for pair in options.items() for word in pair]
        # Nothing is chosen or reported here: one fit, of all clips but the held-out speaker's.
        words.append("--skip_validation")
        done = subprocess.run([*command, *words], capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise UserError(f"{row.name} could not be fitted without {fold.speaker}: {last[0]}")
        return folder

    def _key(self, corpus: Corpus) -> str:
        """Changes with the clips, the seed and the code that fits."""
        return combined_hash(fingerprint(corpus.clips), str(self._seed), code_hash("finetune", "inference"))


def code_hash(*packages: str) -> str:
    """Hash of the source files of packages of this project."""
    root = Path(__file__).resolve().parent.parent
    paths = sorted(path for package in packages for path in (root / package).rglob("*.py"))
    return combined_hash(*(path.read_text(encoding="utf-8") for path in paths))


def weights_hash(checkpoint: str) -> str:
    """Hash of the files of a checkpoint; of its name where it is no folder."""
    folder = Path(checkpoint)
    digest = hashlib.sha256(b"" if folder.is_dir() else checkpoint.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else ():
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


def combined_hash(*parts: str) -> str:
    """First 16 hex digits of the SHA-256 over texts in their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:16]


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "spoken-digits" / "folds"


def _fold_folder(folds: Path, fold: Fold) -> Path:
    folder = folds / str(fold.speaker)
    if not (folder / CARD_NAME).is_file():
        raise UserError(
            f"{folds} has no checkpoint for the held-out speaker {fold.speaker}: train {folder}, or measure "
            "only some speakers with --fold."
        )
    return folder


def _cards(checkpoints: Collection[str]) -> dict[str, SplitCard | None]:
    return {checkpoint: read_split_card(Path(checkpoint)) for checkpoint in set(checkpoints)}


def _leaks(
    checkpoints: Mapping[str | None, str], evaluation: Evaluation, hashes: Mapping[str, str]
) -> dict[str, int]:
    """Checkpoint -> number of test clips of its folds that it was trained on, if there are any."""
    cards = _cards(checkpoints.values())
    leaks: dict[str, int] = {}
    for fold in evaluation.folds:
        card = cards[checkpoints[fold.speaker]]
        leaked = len(card.leaked(evaluation.corpus, fold.test, hashes)) if card else 0
        if leaked:
            checkpoint = checkpoints[fold.speaker]
            leaks[checkpoint] = leaks.get(checkpoint, 0) + leaked
    return leaks


def _checked(
    checkpoints: Mapping[str | None, str],
    row: Row,
    evaluation: Evaluation,
    hashes: Mapping[str, str],
    allow_leak: bool,
) -> Assignment:
    leaks = _leaks(checkpoints, evaluation, hashes)
    if leaks and not allow_leak:
        raise UserError(_leak_message(row, evaluation, leaks))
    cards = [card for card in _cards(checkpoints.values()).values() if card is not None]
    return Assignment(
        checkpoints,
        leaked_clips=sum(leaks.values()) if cards else None,
        trained_on=_material(cards[0]) if cards else None,
        train_clips=max((len(card.train_clips) for card in cards), default=None),
        fold_checkpoints=len(set(checkpoints.values())) == len(checkpoints) > 1 and len(cards) > 1,
    )


def _material(card: SplitCard) -> str:
    """What a checkpoint learned from: synthetic voices besides recordings are told, too."""
    return f"{card.corpus} and synthetic voices" if card.num_synthetic_clips else card.corpus


def _leak_message(row: Row, evaluation: Evaluation, leaks: Mapping[str, int]) -> str:
    lines: Sequence[str] = [
        f"{portable_path(checkpoint)} ({row.name}) was trained on {number} of the clips of the test split "
        f"{evaluation.protocol}."
        for checkpoint, number in leaks.items()
    ]
    return "\n".join(lines) + (
        "\nIts accuracy here would say nothing about new recordings. Either measure a checkpoint that was "
        f"trained on this split (--checkpoint {row.name}=FOLDER), choose the --protocol, --fold and --seed "
        "it was trained with, leave the row out (--backends ...), or say --allow-leak: the row is then "
        "marked LEAK in every table."
    )
