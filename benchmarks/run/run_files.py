"""What ``run.json`` and ``splits.json`` say, and the result folder that they lie in."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.run.arguments import Request
from benchmarks.run.content_hashes import combined_hash
from benchmarks.run.entries import portable_path
from benchmarks.run.inputs import Materials
from benchmarks.run.plan import ACCURACY, Plan
from benchmarks.run.records import (
    ANSWERS_FOLDER,
    COLD_FILE,
    ENVIRONMENT_FILE,
    FOOTPRINT_FILE,
    LATENCY_FILE,
    LOADS_FILE,
    RUN_FILE,
    SPLITS_FILE,
    Record,
    read_document,
)
from benchmarks.run.status import STATUS_OK, STATUS_UNAVAILABLE, Outcome
from finetune.corpus.loading import environment_prefix
from inference.errors import UserError
from inference.transcripts import mapping_version

MEASURED = (RUN_FILE, SPLITS_FILE, ENVIRONMENT_FILE, LATENCY_FILE, LOADS_FILE, COLD_FILE, FOOTPRINT_FILE)


def open_folder(folder: Path, request: Request) -> Record | None:
    """Makes the result folder ready; what somebody else put there is left alone.

    Returns:
        The ``run.json`` of the run to go on with; None for a new run.

    Raises:
        UserError: If it holds a run and neither ``--resume`` nor ``--fresh`` was said, holds something
            else, or cannot be written.
    """
    try:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        holds_run = bool(names & {RUN_FILE, ANSWERS_FOLDER})
        if names and not holds_run:
            raise UserError(f"--out {folder} holds other files; name a new folder or one of an earlier run.")
        if holds_run and not (request.resume or request.fresh):
            raise UserError(
                f"--out {folder} holds a run: say --resume to measure what it lacks, --fresh to replace it, "
                "or name another folder."
            )
        if holds_run and request.fresh:
            remove_run(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Only writing tells whether one may write: a file system can be read-only for everybody.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
    except OSError as error:
        raise UserError(
            f"--out {folder} cannot be made or written: {error.strerror}; name another folder."
        ) from error
    return read_document(folder / RUN_FILE) if (folder / RUN_FILE).is_file() else None


def remove_run(folder: Path) -> None:
    """Removes the records of a run; its tables are written anew with the next one."""
    shutil.rmtree(folder / ANSWERS_FOLDER, ignore_errors=True)
    for name in MEASURED:
        (folder / name).unlink(missing_ok=True)


def reproduce_command(arguments: Sequence[str], dataset: str) -> str:
    """What to type to get the same run; the folder of recordings is the reader's own."""
    again = [word for word in arguments if word not in ("--resume", "--fresh")]
    return environment_prefix(dataset) + shlex.join(["python", "-m", "benchmarks.run", *again])


def asked_hash(request: Request) -> str:
    """Hash of all that was asked for, to tell whether a plan still holds."""
    same = replace(request, resume=False, fresh=False, out=None, plan_only=False)
    return combined_hash(repr(same))


def splits_document(materials: Materials) -> Record:
    """``splits.json``."""
    return {
        "protocols": {
            protocol: {
                fold or "all": {clip.clip_id: clip.pcm_sha for clip in clips} for fold, clips in folds.items()
            }
            for protocol, folds in materials.clips.items()
        }
    }


def run_document(
    identity: Mapping[str, str],
    request: Request,
    plan: Plan,
    materials: Materials,
    outcomes: Sequence[Outcome],
    complete: bool,
) -> Record:
    """``run.json``.

    Args:
        identity: ``run`` and ``command``.
        request: What was asked for.
        plan: What was measured of it.
        materials: Protocols and checkpoints.
        outcomes: What became of the rows.
        complete: Whether it came to its end.
    """
    protocols = [
        {
            "protocol": evaluation.protocol,
            "folder": evaluation.folder,
            "dataset": evaluation.corpus.name,
            "dataset_description": evaluation.corpus.description,
            "caption": evaluation.caption,
            "new_speakers": evaluation.new_speakers,
            "folds": [fold.speaker for fold in evaluation.folds],
            "fingerprint": evaluation.fingerprint,
            "test_clips": evaluation.num_test_clips,
            "measured_clips": len(evaluation.clips),
        }
        for evaluation in materials.evaluations
    ]
    return {
        **identity,
        "suite": request.suite,
        "complete": complete,
        "phases": list(plan.phases),
        "settings": asdict(plan.settings),
        "mapping_version": mapping_version(),
        "asked": asked_hash(request),
        "shed": list(plan.shed),
        "protocols": protocols,
        "conditions": _conditions(plan, materials),
        "backends": [_entry(outcome, materials) for outcome in outcomes],
    }


def _conditions(plan: Plan, materials: Materials) -> list[Record]:
    first = materials.evaluations[0]
    clean = {
        "condition": ACCURACY,
        "group": None,
        "level": None,
        "protocol": first.protocol,
        "clips": len(first.clips),
    }
    trials = [
        {
            "condition": trial.name,
            "group": trial.group,
            "level": trial.level,
            "protocol": plan.trial_protocol.protocol,
            "clips": sum(map(len, trial.clip_ids.values())),
        }
        for trial in plan.trials
        if plan.trial_protocol is not None
    ]
    return [clean, *trials]


def _entry(outcome: Outcome, materials: Materials) -> Record:
    row = next(row for row in materials.rows if row.name == outcome.name)
    protocols = {}
    for evaluation in materials.evaluations:
        assignment = materials.assignments[row.name, evaluation.protocol]
        protocols[evaluation.protocol] = {
            "status": outcome.status if assignment.checkpoints else STATUS_UNAVAILABLE,
            "reason": outcome.reason if assignment.checkpoints else assignment.reason,
            "leaked_clips": assignment.leaked_clips,
            "trained_on": assignment.trained_on,
            "train_clips": assignment.train_clips,
            "fold_checkpoints": assignment.fold_checkpoints,
        }
    shown = row.checkpoint if row.folds is None or not row.is_default else str(row.folds)
    return {
        "backend": row.name,
        "family": row.spec.name,
        "options": dict(row.options),
        "folder": row.folder,
        "checkpoint": portable_path(os.path.relpath(shown) if Path(shown).is_dir() else shown),
        "summary": row.spec.summary,
        "fixture": row.fixture,
        "protocols": protocols,
        "status": outcome.status,
        "reason": outcome.reason,
        "fix": outcome.fix,
        "failures": outcome.failures,
    }


def holds_figures(outcomes: Sequence[Outcome]) -> bool:
    """Whether a row was measured to its end."""
    return any(outcome.status == STATUS_OK for outcome in outcomes)
