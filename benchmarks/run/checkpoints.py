"""Which checkpoint answers which fold, and the guard against those that learned from test clips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.run.baseline_folds import FITTED
from benchmarks.run.entries import Row, portable_path
from benchmarks.run.protocol import Evaluation, Fold
from finetune.checkpoint.split_card import CARD_NAME, SplitCard, read_split_card
from inference.backends.table import BACKENDS, checkpoint_parts, read_members
from inference.errors import UserError


@dataclass(frozen=True)
class Assignment:
    """The checkpoints of one row under one protocol.

    Attributes:
        checkpoints: Held-out speaker (None without folds) -> folder, Hub id or model size; empty if
            the row cannot be measured under this protocol.
        reason: Why not.
        fix: What would mend it.
        leaked_clips: Test clips that a checkpoint was trained on, under a protocol of new speakers also
            those whose speaker it was trained on; None without split cards.
        trained_on: The corpora that the cards name; None unless all that is loaded has a card.
        train_clips: Clips learned from, the most of any fold.
        fold_checkpoints: Whether every fold has a checkpoint that never heard its speaker.
        unfitted: Whether baselines are to be fitted before: a plan only says so.
    """

    checkpoints: Mapping[str | None, str]
    reason: str | None = None
    fix: str | None = None
    leaked_clips: int | None = None
    trained_on: str | None = None
    train_clips: int | None = None
    fold_checkpoints: bool = False
    unfitted: bool = False


def assign_checkpoints(
    row: Row,
    rows: Sequence[Row],
    evaluation: Evaluation,
    hashes: Mapping[str, str],
    fit: Callable[[Row, Evaluation, Fold], Path],
    allow_leak: bool = False,
) -> Assignment:
    """Finds a checkpoint for every fold.

    A folder of fold checkpoints serves a protocol with folds; without one the small baselines are
    fitted, and any other checkpoint serves if it was trained on no test clip. A backend that asks
    others does so with the checkpoints that their own rows are measured with.

    Args:
        row: The backend.
        rows: All rows of the run.
        evaluation: The protocol.
        hashes: Clip id -> hash of its samples, of the test clips.
        fit: Returns the checkpoint of the row's baseline for a fold; fits it, or only says where it
            will lie.
        allow_leak: Whether to measure a checkpoint that was trained on test clips.

    Raises:
        UserError: If a fold's checkpoint is missing, or one was trained on test clips.
    """

    def checked(checkpoints: Mapping[str | None, str], unfitted: bool = False) -> Assignment:
        return _checked(Assignment(checkpoints, unfitted=unfitted), row, evaluation, hashes, allow_leak)

    if row.spec.composite and row.is_default:
        members: dict[str, Assignment] = {}
        # Nothing is fitted for an ensemble that another member leaves without a checkpoint.
        for member in sorted(_member_rows(row, rows), key=lambda member: member.spec.name in FITTED):
            found = assign_checkpoints(member, rows, evaluation, hashes, fit, allow_leak)
            if not found.checkpoints:
                return Assignment({}, f"{row.name}: {found.reason}", found.fix)
            members[member.name] = found
        return _checked(_joined(row, members, evaluation), row, evaluation, hashes, allow_leak)
    shared = {fold.speaker: row.checkpoint for fold in evaluation.folds}
    if evaluation.folds[0].speaker is None:
        return checked(shared)
    if row.folds is not None:
        return checked({fold.speaker: str(_fold_folder(row.folds, fold)) for fold in evaluation.folds})
    if not row.is_default or not _leaks(row, shared, evaluation, hashes):
        return checked(shared)
    if row.spec.name in FITTED and not row.options:
        folders = {fold.speaker: fit(row, evaluation, fold) for fold in evaluation.folds}
        unfitted = not all((folder / CARD_NAME).is_file() for folder in folders.values())
        return checked({speaker: str(folder) for speaker, folder in folders.items()}, unfitted)
    return Assignment(
        {},
        f"{row.name}: its checkpoint has heard every speaker, and {evaluation.protocol} needs one for "
        "each held-out speaker.",
        f"Train them, one sub-folder per speaker, and pass --checkpoint {row.name}=FOLDER",
    )


def _fold_folder(folds: Path, fold: Fold) -> Path:
    folder = folds / str(fold.speaker)
    if not (folder / CARD_NAME).is_file():
        raise UserError(
            f"{folds} has no checkpoint for the held-out speaker {fold.speaker}: train {folder}, or measure "
            "only some speakers with --fold."
        )
    return folder


def _member_rows(row: Row, rows: Sequence[Row]) -> list[Row]:
    """The rows of the run that a composite stands on; those of the table where the run has none."""
    known = {other.name: other for other in rows}
    return [
        known.get(name) or Row(name, BACKENDS[name], checkpoint, is_default=True)
        for name, checkpoint in read_members(row.checkpoint)
    ]


def _joined(row: Row, members: Mapping[str, Assignment], evaluation: Evaluation) -> Assignment:
    """For every fold the checkpoints that the members answer it with, in the order of the ensemble."""
    names = [name for name, _ in read_members(row.checkpoint)]
    parts = {
        fold.speaker: [f"{name}={members[name].checkpoints[fold.speaker]}" for name in names]
        for fold in evaluation.folds
    }
    return Assignment(
        {speaker: "+".join(named) for speaker, named in parts.items()},
        unfitted=any(found.unfitted for found in members.values()),
    )


def _cards(row: Row, checkpoint: str) -> list[SplitCard | None]:
    """The cards of all that is loaded, None for a part without one."""
    return [read_split_card(Path(part)) for part in checkpoint_parts(row.spec, checkpoint)]


def _leaks(
    row: Row, checkpoints: Mapping[str | None, str], evaluation: Evaluation, hashes: Mapping[str, str]
) -> dict[str, int]:
    """Checkpoint -> number of test clips of its folds that it was trained on, if there are any."""
    leaks: dict[str, int] = {}
    for fold in evaluation.folds:
        checkpoint = checkpoints[fold.speaker]
        cards = [card for card in _cards(row, checkpoint) if card is not None]
        # A corpus from outside has no training part: there, other recordings of known speakers are fair.
        held_out = evaluation.new_speakers and bool(fold.train)
        leaked = {
            clip for card in cards for clip in card.leaked(evaluation.corpus, fold.test, hashes, held_out)
        }
        if leaked:
            leaks[checkpoint] = leaks.get(checkpoint, 0) + len(leaked)
    return leaks


def _checked(
    found: Assignment, row: Row, evaluation: Evaluation, hashes: Mapping[str, str], allow_leak: bool
) -> Assignment:
    """The assignment with what the cards say; refuses those that name test clips."""
    checkpoints = found.checkpoints
    leaks = _leaks(row, checkpoints, evaluation, hashes)
    if leaks and not allow_leak:
        raise UserError(_leak_message(row, evaluation, leaks))
    parts = [card for checkpoint in dict.fromkeys(checkpoints.values()) for card in _cards(row, checkpoint)]
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
    """What was learned from: synthetic voices besides recordings are told, too."""
    corpora = ", ".join(dict.fromkeys(card.corpus for card in cards))
    return f"{corpora} and synthetic voices" if any(card.num_synthetic_clips for card in cards) else corpora


def _leak_message(row: Row, evaluation: Evaluation, leaks: Mapping[str, int]) -> str:
    lines: Sequence[str] = [
        f"{portable_path(checkpoint)} ({row.name}) was trained on {number} of the clips of the test split "
        f"{evaluation.protocol}{', or on their speakers' if evaluation.new_speakers else ''}."
        for checkpoint, number in leaks.items()
    ]
    return "\n".join(lines) + (
        "\nIts accuracy here would say nothing about new recordings. Either measure a checkpoint that was "
        f"trained on this split (--checkpoint {row.name}=FOLDER), choose the --protocol, --fold and --seed "
        "it was trained with, leave the row out (--backends ...), or say --allow-leak: the row is then "
        "marked LEAK in every table."
    )
