"""What a run will ask, how long that takes, and what a budget leaves of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.measure.answers import Unit
from benchmarks.measure.latency import MAX_WARM_CALLS
from benchmarks.run.content_hashes import code_hash, combined_hash, weights_hash
from benchmarks.run.entries import Row
from benchmarks.run.inputs import Materials
from benchmarks.run.protocol import Evaluation
from benchmarks.run.settings import LEAST_ROUNDS, Settings
from benchmarks.worker.waveform_file import StoredClip
from inference.transcripts import mapping_version

if TYPE_CHECKING:  # Signal processing takes seconds that --help does not need.
    from benchmarks.run.noisy_test_sets import Trial

ACCURACY = "clean"
#: What a call costs beside the backend's own work: two lines of JSON, reading a clip, writing a record.
OVERHEAD_S = 0.0003


@dataclass(frozen=True)
class Plan:
    """The work of a run.

    Attributes:
        phases: Of ``settings.PHASES``.
        settings: Rounds, threads and sweeps.
        trials: Conditions of the robustness phase, the most important first.
        trial_protocol: The protocol of the trials.
        shed: What was left out to stay in the budget.
    """

    phases: tuple[str, ...]
    settings: Settings
    trials: "tuple[Trial, ...]" = ()
    trial_protocol: Evaluation | None = None
    shed: tuple[str, ...] = ()

    @property
    def keeps_latency(self) -> bool:
        """Whether anything is timed in rounds."""
        return "latency" in self.phases


@dataclass(frozen=True)
class Pace:
    """How long a backend takes.

    Attributes:
        load_s: Importing and loading.
        call_s: One clip.
    """

    load_s: float
    call_s: float


def make_units(plan: Plan, materials: Materials) -> list[Unit]:
    """Every unit of the accuracy and robustness phases, row after row."""
    loaded = {
        (row.name, checkpoint): replace(row, checkpoint=checkpoint)
        for row in materials.rows
        for evaluation in materials.evaluations
        for checkpoint in materials.assignments[row.name, evaluation.protocol].checkpoints.values()
    }
    weights = {key: weights_hash(row) for key, row in loaded.items()}
    versions = _Versions(code_hash("inference"), weights)
    return [unit for row in materials.rows for unit in _row_units(plan, materials, row, versions)]


@dataclass(frozen=True)
class _Versions:
    """Hashes of the code, and of the weights by row and checkpoint."""

    code: str
    weights: Mapping[tuple[str, str], str]

    def key(
        self,
        row: Row,
        checkpoint: str,
        protocol: str,
        fold: str | None,
        condition: str,
        clips: Sequence[StoredClip],
    ) -> str:
        """Hash of everything that an answer depends on; the fold's own clips stand for the corpus."""
        from benchmarks.conditions.table import VERSION

        options = ",".join(f"{name}={value}" for name, value in sorted(row.options.items()))
        samples = combined_hash(*(f"{clip.clip_id} {clip.label} {clip.pcm_sha}" for clip in clips))
        version = f"{mapping_version()} {VERSION if condition != ACCURACY else ''}"
        weights = self.weights[row.name, checkpoint]
        names = (row.name, row.spec.import_path, options, weights, protocol, str(fold))
        return combined_hash(self.code, version, *names, condition, samples)


def _row_units(plan: Plan, materials: Materials, row: Row, versions: _Versions) -> list[Unit]:
    units: list[Unit] = []
    if "accuracy" in plan.phases:
        for evaluation in materials.evaluations:
            checkpoints = materials.assignments[row.name, evaluation.protocol].checkpoints
            for fold, checkpoint in checkpoints.items():
                clips = materials.clips[evaluation.protocol][fold]
                units.append(
                    Unit(
                        row=row,
                        protocol=evaluation.protocol,
                        folder=evaluation.folder,
                        condition=ACCURACY,
                        fold=fold,
                        checkpoint=checkpoint,
                        clip_ids=[clip.clip_id for clip in clips],
                        clips=partial(list, clips),
                        key=versions.key(row, checkpoint, evaluation.protocol, fold, ACCURACY, clips),
                    )
                )
    if plan.trial_protocol is not None:
        protocol = plan.trial_protocol.protocol
        checkpoints = materials.assignments[row.name, protocol].checkpoints
        for trial in plan.trials:
            for fold in trial.clips.keys() & checkpoints.keys():
                sources = materials.clips[protocol][fold]
                units.append(
                    Unit(
                        row=row,
                        protocol=protocol,
                        folder=plan.trial_protocol.folder,
                        condition=trial.name,
                        fold=fold,
                        checkpoint=checkpoints[fold],
                        clip_ids=trial.clip_ids[fold],
                        clips=trial.clips[fold],
                        key=versions.key(row, checkpoints[fold], protocol, fold, trial.name, sources),
                    )
                )
    return units


def estimate_seconds(
    plan: Plan, materials: Materials, paces: Mapping[str, Pace], open_clips: Mapping[Unit, int]
) -> dict[str, float]:
    """Seconds by phase, from the pace of a first acquaintance.

    Args:
        plan: The work.
        materials: Rows and clips.
        paces: Row -> pace, for rows that can be measured.
        open_clips: Unit -> clips that are not answered yet.
    """
    seconds = dict.fromkeys(("accuracy", "robustness", "latency", "cold"), 0.0)
    loads: set[tuple[str, str]] = set()
    for unit, number in open_clips.items():
        pace = paces.get(unit.row.name)
        if pace is None or not number:
            continue
        phase = "accuracy" if unit.condition == ACCURACY else "robustness"
        seconds[phase] += number * (pace.call_s + OVERHEAD_S)
        if (unit.row.name, unit.checkpoint) not in loads:
            loads.add((unit.row.name, unit.checkpoint))
            seconds[phase] += pace.load_s
    settings = plan.settings
    for pace in paces.values():
        if plan.keeps_latency:
            calls = 2 * settings.rounds + MAX_WARM_CALLS / 3
            sweeps = len(settings.sweep_threads) + sum(settings.sweep_batches)
            calls += 2 * settings.sweep_rounds * sweeps
            seconds["latency"] += calls * pace.call_s + pace.load_s * (1 + len(settings.sweep_threads))
        if "cold" in plan.phases:
            seconds["cold"] += settings.cold_starts * (pace.load_s + pace.call_s)
    return seconds


def shed(
    plan: Plan,
    budget_s: float,
    materials: Materials,
    paces: Mapping[str, Pace],
    open_clips: Mapping[Unit, int],
) -> Plan:
    """Leaves out what does not fit: levels of the robustness phase, then rounds; never accuracy clips.

    Args:
        plan: The work.
        budget_s: Seconds that are left.
        materials: Rows and clips.
        paces: Row -> pace.
        open_clips: Unit -> clips that are not answered yet.
    """

    def seconds(candidate: Plan) -> float:
        kept = {trial.name for trial in candidate.trials} | {ACCURACY}
        counts = {unit: number for unit, number in open_clips.items() if unit.condition in kept}
        return sum(estimate_seconds(candidate, materials, paces, counts).values())

    dropped: list[str] = []
    while plan.trials and seconds(plan) > budget_s:
        dropped.insert(0, plan.trials[-1].name)
        plan = replace(plan, trials=plan.trials[:-1])
    sentences = [f"conditions left out: {', '.join(dropped)}"] if dropped else []
    rounds = plan.settings.rounds
    if plan.keeps_latency and rounds > LEAST_ROUNDS and seconds(plan) > budget_s:
        plan = replace(plan, settings=replace(plan.settings, rounds=LEAST_ROUNDS))
        sentences.append(f"latency rounds: {LEAST_ROUNDS} instead of {rounds}")
    needed = seconds(plan)
    if needed > budget_s:
        sentences.append(
            f"still {needed:.0f} s where {max(budget_s, 0):.0f} s are left: no clip is left out; measure "
            "fewer backends or protocols to be quicker"
        )
    return replace(plan, shed=tuple(sentences))


def plan_lines(
    plan: Plan,
    materials: Materials,
    seconds: Mapping[str, float],
    open_clips: Mapping[Unit, int],
    unavailable: Mapping[str, str],
) -> list[str]:
    """The plan for a person: units with their clips, seconds by phase, what is missing."""
    lines = []
    for row in materials.rows:
        if row.name in unavailable:
            lines.append(f"{row.name}: skipped: {unavailable[row.name]}")
            continue
        units = [unit for unit in open_clips if unit.row == row]
        for (protocol, condition), clips in _clips_by_file(units, open_clips).items():
            lines.append(f"{row.name}  {protocol}  {condition}  {clips} clips")
        for evaluation in materials.evaluations:
            found = materials.assignments[row.name, evaluation.protocol]
            if found.reason:
                lines.append(f"{row.name}  {evaluation.protocol}: skipped: {found.reason}")
            if found.unfitted:
                lines.append(f"{row.name}  {evaluation.protocol}: fitted for each held-out speaker before")
    lines += [f"{phase}: about {value:.0f} s" for phase, value in seconds.items() if value]
    lines.append(f"in all about {sum(seconds.values()):.0f} s beside size, memory and fitting")
    return [*lines, *(f"to stay in the budget, {sentence}" for sentence in plan.shed)]


def _clips_by_file(units: Sequence[Unit], open_clips: Mapping[Unit, int]) -> dict[tuple[str, str], int]:
    totals: dict[tuple[str, str], int] = {}
    for unit in units:
        key = (unit.protocol, unit.condition)
        totals[key] = totals.get(key, 0) + open_clips[unit]
    return totals
