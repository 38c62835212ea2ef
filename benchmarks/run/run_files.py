"""What ``run.json`` says, and the result folder that it lies in."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.records.files import (
    ANSWERS_FILE,
    COLD_FILE,
    FOOTPRINT_FILE,
    LATENCY_FILE,
    LOADS_FILE,
    RUN_FILE,
    part_paths,
    read_document,
)
from benchmarks.records.run_record import (
    CLEAN,
    OTHER_WORDS,
    ConditionRecord,
    EntryProtocol,
    EntryRecord,
    Environment,
    ProtocolRecord,
    RunRecord,
)
from benchmarks.run.content_hashes import combined_hash
from benchmarks.run.entries import portable_path
from benchmarks.run.inputs import Inputs
from benchmarks.run.plan import Plan
from benchmarks.run.request import Request
from benchmarks.run.status import STATUS_UNAVAILABLE, EntryStatus
from finetune.corpus.loading import environment_prefix
from inference.backends.transcripts import mapping_version
from inference.command_line import shareable_command
from inference.errors import UserError

MEASURED = (RUN_FILE, ANSWERS_FILE, LATENCY_FILE, LOADS_FILE, COLD_FILE, FOOTPRINT_FILE)


def open_folder(folder: Path, request: Request) -> RunRecord | None:
    """Makes the result folder ready; what somebody else put there is left alone.

    Returns:
        The ``run.json`` of the run to go on with; None for a new run.

    Raises:
        UserError: If it holds a run and neither ``--resume`` nor ``--fresh`` was said, holds something
            else, or cannot be written.
    """
    try:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        holds_run = bool(names & {*MEASURED})
        if names and not holds_run:
            raise UserError(f"--out {folder} holds other files; name a new folder or one of an earlier run.")
        if holds_run and not (request.resume or request.fresh):
            raise UserError(
                f"--out {folder} holds a run: say --resume to measure what it lacks, --fresh to replace it, "
                "or name another folder."
            )
        if holds_run and request.fresh:
            for path in (*(folder / name for name in MEASURED), *part_paths(folder / ANSWERS_FILE)):
                path.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        # Only writing tells whether one may write: a file system can be read-only for everybody.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
    except OSError as error:
        raise UserError(
            f"--out {folder} cannot be made or written: {error.strerror}; name another folder."
        ) from error
    return read_document(folder / RUN_FILE, RunRecord) if (folder / RUN_FILE).is_file() else None


def reproduce_command(arguments: Sequence[str], dataset: str) -> str:
    """What to type to get the same run; where folders lie is the reader's own."""
    again = [word for word in arguments if word not in ("--resume", "--fresh")]
    return environment_prefix(dataset) + shareable_command("python", "-m", "benchmarks.run", *again)


def asked_hash(request: Request) -> str:
    """Hash of all that was asked for, to tell whether a plan still holds."""
    same = replace(request, resume=False, fresh=False, out=None, plan_only=False)
    return combined_hash(repr(same))


def run_record(
    identity: Mapping[str, str],
    request: Request,
    plan: Plan,
    inputs: Inputs,
    statuses: Sequence[EntryStatus],
    environment: Environment,
    complete: bool,
) -> RunRecord:
    """``run.json``.

    Args:
        identity: ``run`` and ``command``.
        plan: What was measured of it.
    """
    protocols = [
        ProtocolRecord(
            protocol=test_set.protocol,
            dataset=test_set.corpus.name,
            dataset_description=test_set.corpus.description,
            caption=test_set.caption,
            new_speakers=test_set.new_speakers,
            folds=tuple(fold.speaker for fold in test_set.folds),
            fingerprint=test_set.fingerprint,
            test_clips=test_set.num_test_clips,
            measured_clips=len(test_set.clips),
        )
        for test_set in inputs.test_sets
    ]
    return RunRecord(
        run=identity["run"],
        command=identity["command"],
        suite=request.suite,
        complete=complete,
        phases=plan.phases,
        settings=plan.settings,
        mapping_version=mapping_version(),
        skipped_for_budget=plan.skipped,
        protocols=tuple(protocols),
        conditions=_conditions(plan, inputs),
        backends=tuple(_entry_record(status, inputs) for status in statuses),
        environment=environment,
        asked=asked_hash(request),
    )


def _conditions(plan: Plan, inputs: Inputs) -> tuple[ConditionRecord, ...]:
    first = inputs.test_sets[0]
    clean = ConditionRecord(CLEAN, None, None, first.protocol, len(first.clips))
    others = [
        ConditionRecord(OTHER_WORDS, OTHER_WORDS, None, protocol, len(clips))
        for protocol, clips in inputs.other_words.items()
    ]
    noisy = [
        ConditionRecord(
            condition=noisy.condition,
            family=noisy.family,
            level=noisy.level,
            protocol=plan.noisy_protocol.protocol,
            clips=sum(map(len, noisy.clip_ids.values())),
        )
        for noisy in plan.noisy_test_sets
        if plan.noisy_protocol is not None
    ]
    return (clean, *others, *noisy)


def _entry_record(status: EntryStatus, inputs: Inputs) -> EntryRecord:
    entry = next(entry for entry in inputs.entries if entry.name == status.name)
    protocols = {}
    for test_set in inputs.test_sets:
        found = inputs.checkpoints[entry.name, test_set.protocol]
        protocols[test_set.protocol] = EntryProtocol(
            status=status.state if found.by_fold else STATUS_UNAVAILABLE,
            reason=status.reason if found.by_fold else found.reason,
            leaked_clips=found.leaked_clips,
            trained_on=found.trained_on,
            train_clips=found.train_clips,
            fold_checkpoints=found.fold_checkpoints,
        )
    shown = entry.checkpoint if entry.folds is None or not entry.is_default else str(entry.folds)
    return EntryRecord(
        backend=entry.name,
        family=entry.spec.name,
        options=dict(entry.options),
        checkpoint=portable_path(os.path.relpath(shown) if Path(shown).is_dir() else shown),
        summary=entry.spec.summary,
        fixture=entry.fixture,
        protocols=protocols,
        status=status.state,
        reason=status.reason,
        fix=status.fix,
        failures=tuple(status.failures),
    )
