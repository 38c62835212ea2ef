"""What a run will ask, how long that takes, and what a budget leaves of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.records.measurements import Cost
from benchmarks.records.run_record import CLEAN, OTHER_WORDS, Settings
from benchmarks.run.content_hashes import code_hash, combined_hash, weights_hash
from benchmarks.run.entries import Entry
from benchmarks.run.inputs import Inputs, Job, NoisyTestSet, TestSet
from benchmarks.run.suites import LEAST_ROUNDS
from benchmarks.worker.waveform_file import StoredClip
from inference.backends.transcripts import mapping_version

#: Conditions of the accuracy phase.
NOT_NOISY = frozenset({CLEAN, OTHER_WORDS})
#: What a call costs beside the backend's own work: two lines of JSON, reading a clip, writing a record.
OVERHEAD_S = 0.0003
#: Calls until the time of a backend has settled, as a rule.
USUAL_WARM_CALLS = 20


@dataclass(frozen=True)
class Plan:
    """The work of a run.

    Attributes:
        phases: Of ``suites.PHASES``.
        noisy_test_sets: Conditions of the robustness phase, the most important first.
        noisy_protocol: Whose clips they are made of.
        skipped: What was left out to stay in the budget.
    """

    phases: tuple[str, ...]
    settings: Settings
    noisy_test_sets: tuple[NoisyTestSet, ...] = ()
    noisy_protocol: TestSet | None = None
    skipped: tuple[str, ...] = ()


def make_jobs(plan: Plan, inputs: Inputs) -> list[Job]:
    """Every job of the accuracy and robustness phases, entry after entry."""
    code = code_hash("inference")
    return [job for entry in inputs.entries for job in _entry_jobs(plan, inputs, entry, code)]


def _entry_jobs(plan: Plan, inputs: Inputs, entry: Entry, code: str) -> list[Job]:
    from benchmarks.conditions.table import VERSION

    weights = {
        checkpoint: weights_hash(replace(entry, checkpoint=checkpoint))
        for test_set in inputs.test_sets
        for checkpoint in inputs.checkpoints[entry.name, test_set.protocol].by_fold.values()
    }
    options = ",".join(f"{name}={value}" for name, value in sorted(entry.options.items()))

    def job(
        protocol: str,
        fold: str | None,
        condition: str,
        sources: Sequence[StoredClip],
        noisy: NoisyTestSet | None = None,
    ) -> Job:
        checkpoint = inputs.checkpoints[entry.name, protocol].by_fold[fold]
        # Everything that an answer depends on; the fold's own clips stand for the corpus.
        samples = combined_hash(*(f"{clip.clip_id} {clip.label} {clip.pcm_sha}" for clip in sources))
        version = f"{mapping_version()} {VERSION if noisy else ''}"
        names = (entry.name, entry.spec.import_path, options, weights[checkpoint], protocol, str(fold))
        return Job(
            entry=entry,
            protocol=protocol,
            condition=condition,
            fold=fold,
            checkpoint=checkpoint,
            clip_ids=noisy.clip_ids[fold] if noisy else [clip.clip_id for clip in sources],
            clips=noisy.clips[fold] if noisy else partial(list, sources),
            key=combined_hash(code, version, *names, condition, samples),
        )

    jobs: list[Job] = []
    for test_set in inputs.test_sets if "accuracy" in plan.phases else ():
        protocol = test_set.protocol
        clips, others = inputs.clips[protocol], inputs.other_words.get(protocol)
        for fold in inputs.checkpoints[entry.name, protocol].by_fold:
            jobs.append(job(protocol, fold, CLEAN, clips[fold]))
            if others:
                jobs.append(job(protocol, fold, OTHER_WORDS, others))
    if plan.noisy_protocol is not None:
        protocol = plan.noisy_protocol.protocol
        folds = inputs.checkpoints[entry.name, protocol].by_fold
        for noisy in plan.noisy_test_sets:
            for fold in (fold for fold in noisy.clips if fold in folds):
                jobs.append(job(protocol, fold, noisy.condition, inputs.clips[protocol][fold], noisy))
    return jobs


def estimate_seconds(
    plan: Plan, inputs: Inputs, costs: Mapping[str, Cost], open_clips: Mapping[Job, int]
) -> dict[str, float]:
    """Seconds by phase, from the cost of a first acquaintance.

    Args:
        costs: Entry -> cost, for entries that can be measured.
        open_clips: Job -> clips that are not answered yet.
    """
    seconds = dict.fromkeys(("accuracy", "robustness", "latency", "cold"), 0.0)
    loads: set[tuple[str, str]] = set()
    for job, number in open_clips.items():
        cost = costs.get(job.entry.name)
        if cost is None or not number:
            continue
        phase = "accuracy" if job.condition in NOT_NOISY else "robustness"
        seconds[phase] += number * (cost.call_s + OVERHEAD_S)
        if (job.entry.name, job.checkpoint) not in loads:
            loads.add((job.entry.name, job.checkpoint))
            seconds[phase] += cost.load_s
    settings = plan.settings
    for cost in costs.values():
        if "latency" in plan.phases:
            calls = 2 * settings.rounds + USUAL_WARM_CALLS
            seconds["latency"] += calls * cost.call_s + cost.load_s
        if "cold" in plan.phases:
            seconds["cold"] += settings.cold_starts * (cost.load_s + cost.call_s)
    return seconds


def skip_for_budget(
    plan: Plan,
    budget_s: float,
    inputs: Inputs,
    costs: Mapping[str, Cost],
    open_clips: Mapping[Job, int],
) -> Plan:
    """Leaves out what does not fit: levels of the robustness phase, then rounds; never accuracy clips.

    Args:
        open_clips: Job -> clips that are not answered yet.
    """

    def seconds(candidate: Plan) -> float:
        kept = {noisy.condition for noisy in candidate.noisy_test_sets} | NOT_NOISY
        counts = {job: number for job, number in open_clips.items() if job.condition in kept}
        return sum(estimate_seconds(candidate, inputs, costs, counts).values())

    dropped: list[str] = []
    while plan.noisy_test_sets and seconds(plan) > budget_s:
        dropped.insert(0, plan.noisy_test_sets[-1].condition)
        plan = replace(plan, noisy_test_sets=plan.noisy_test_sets[:-1])
    sentences = [f"conditions left out: {', '.join(dropped)}"] if dropped else []
    rounds = plan.settings.rounds
    if "latency" in plan.phases and rounds > LEAST_ROUNDS and seconds(plan) > budget_s:
        plan = replace(plan, settings=replace(plan.settings, rounds=LEAST_ROUNDS))
        sentences.append(f"latency rounds: {LEAST_ROUNDS} instead of {rounds}")
    needed = seconds(plan)
    if needed > budget_s:
        sentences.append(
            f"still {needed:.0f} s where {max(budget_s, 0):.0f} s are left: no clip is left out; measure "
            "fewer backends or protocols to be quicker"
        )
    return replace(plan, skipped=tuple(sentences))


def plan_lines(
    plan: Plan,
    inputs: Inputs,
    seconds: Mapping[str, float],
    open_clips: Mapping[Job, int],
    unavailable: Mapping[str, str],
) -> list[str]:
    """The plan for a person: jobs with their clips, seconds by phase, what is missing."""
    lines = []
    for entry in inputs.entries:
        if entry.name in unavailable:
            lines.append(f"{entry.name}: skipped: {unavailable[entry.name]}")
            continue
        totals: Counter[str] = Counter()
        for job in (job for job in open_clips if job.entry == entry):
            totals[f"{job.protocol}  {job.condition}"] += open_clips[job]
        lines += [f"{entry.name}  {what}  {clips} clips" for what, clips in totals.items()]
        for test_set in inputs.test_sets:
            found = inputs.checkpoints[entry.name, test_set.protocol]
            if found.reason:
                lines.append(f"{entry.name}  {test_set.protocol}: skipped: {found.reason}")
            if found.unfitted:
                lines.append(f"{entry.name}  {test_set.protocol}: fitted for each held-out speaker before")
    lines += [f"{phase}: about {value:.0f} s" for phase, value in seconds.items() if value]
    lines.append(f"in all about {sum(seconds.values()):.0f} s beside size, memory and fitting")
    return [*lines, *(f"to stay in the budget, {sentence}" for sentence in plan.skipped)]
