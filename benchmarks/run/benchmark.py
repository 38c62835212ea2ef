"""One run: first acquaintance, plan, answers, times, records and tables."""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure.environment import describe_environment, load_of_machine
from benchmarks.measure.timing import time_cold, time_latency
from benchmarks.run.arguments import Request
from benchmarks.run.content_hashes import weights_hash
from benchmarks.run.inputs import Materials, say
from benchmarks.run.measurement import answer_all, collect_answers, weigh
from benchmarks.run.plan import Pace, Plan, estimate_seconds, make_units, plan_lines, shed
from benchmarks.run.processes import Crew
from benchmarks.run.records import (
    COLD_FILE,
    ENVIRONMENT_FILE,
    FOOTPRINT_FILE,
    LATENCY_FILE,
    RUN_FILE,
    SPLITS_FILE,
    Record,
    read_document,
    read_records,
    record_writer,
    write_document,
)
from benchmarks.run.run_files import asked_hash, holds_figures, run_document, splits_document
from benchmarks.run.status import STATUS_FAILED, STATUS_OK, STATUS_UNAVAILABLE, Outcome
from inference.command_line import EXIT_INTERRUPTED, EXIT_OK
from inference.vocabulary import vocabulary

EXIT_BACKEND_FAILED = 3
EXIT_NOTHING_MEASURED = 4


@dataclass
class Campaign:
    """One run from its plan to its tables; every process of a crew walks through it.

    Attributes:
        request: What was asked for.
        crew: The processes that share the answers.
        materials: Rows, clips and checkpoints.
        folder: The result folder.
        identity: ``run`` and ``command`` of ``run.json``.
        started: When the command began, on the clock of ``time.monotonic``.
    """

    request: Request
    crew: Crew
    materials: Materials
    folder: Path
    identity: Mapping[str, str]
    started: float

    def __post_init__(self) -> None:
        self._outcomes = [Outcome(self.materials.timed_row(row)) for row in self.materials.rows]
        for outcome in self._outcomes:
            found = [self.materials.assignments[outcome.name, e.protocol] for e in self.materials.evaluations]
            if not any(assignment.checkpoints for assignment in found):
                outcome.end(STATUS_UNAVAILABLE, found[0].reason, found[0].fix)

    def show_plan(self) -> int:
        """Prints what would be measured; nothing is written."""
        footprints = self._weigh((), few_calls=True)
        plan = self._plan(footprints, None)
        units = make_units(plan, self.materials)
        open_clips = {unit: len(unit.clip_ids) for unit in units}
        paces = _paces(footprints)
        seconds = estimate_seconds(plan, self.materials, paces, open_clips)
        missing = {o.name: f"{o.reason} {o.fix or ''}".strip() for o in self._outcomes if not o.alive}
        sys.stdout.write("\n".join(plan_lines(plan, self.materials, seconds, open_clips, missing)) + "\n")
        return EXIT_OK

    def measure(self, earlier: Record | None) -> int:
        """Measures, writes the records and the report, and prints its table.

        Args:
            earlier: The ``run.json`` of the run that is gone on with.

        Returns:
            The exit code.
        """
        environment = describe_environment(self.request.settings.threads)
        reusable = self._reusable(environment, earlier) if self.crew.leads else set()
        environment["load_before"] = load_of_machine()
        complete, plan = True, Plan(self.request.phases, self.request.settings)
        try:
            footprints = self._weigh(reusable)
            plan = self._plan(footprints, earlier)
            if self.crew.leads:
                write_document(self.folder / ENVIRONMENT_FILE, environment)
                write_document(self.folder / SPLITS_FILE, splits_document(self.materials))
                self._write(plan, complete=False)
            units = make_units(plan, self.materials)
            answer_all(self._outcomes, units, self.folder, plan.settings, self.crew)
            if not self.crew.leads:
                return EXIT_OK
            collect_answers(self._outcomes, units, self.folder)
            self._time(plan, footprints, reusable)
            for outcome in self._outcomes:
                if outcome.alive:
                    outcome.end(STATUS_OK)
        except KeyboardInterrupt:
            complete = False
            if not self.crew.leads:
                return EXIT_INTERRUPTED
            collect_answers(self._outcomes, make_units(plan, self.materials), self.folder)
            say(f"interrupted; what was measured is kept in {self.folder}; go on with --resume")
        environment["load_after"] = load_of_machine()
        write_document(self.folder / ENVIRONMENT_FILE, environment)
        write_document(self.folder / SPLITS_FILE, splits_document(self.materials))
        self._write(plan, complete)
        self._report()
        return self._exit_code() if complete else EXIT_INTERRUPTED

    def _weigh(self, reusable: Collection[str], few_calls: bool = False) -> list[Record]:
        """Meets the rows, in the first process; all of them then know what became of each."""
        footprints: list[Record] = []
        if self.crew.leads:
            path = self.folder / FOOTPRINT_FILE
            known = {r["backend"]: r for r in _lines(path)} if FOOTPRINT_FILE in reusable else {}
            phases = () if few_calls else self.request.phases
            alive = [outcome for outcome in self._outcomes if outcome.alive]
            with ExitStack() as stack:
                write: Callable[[Record], object] = dict
                if not few_calls:
                    if not known:
                        path.unlink(missing_ok=True)
                    write = stack.enter_context(record_writer(path))
                footprints = weigh(alive, self.materials.sample, self.request.settings, phases, known, write)
        footprints, outcomes = self.crew.agree((footprints, self._outcomes))
        self._outcomes = list(outcomes)
        return footprints

    def _plan(self, footprints: Sequence[Record], earlier: Record | None) -> Plan:
        """What to measure: all that was asked, what an earlier start planned, or what the budget leaves."""
        plan = Plan(self.request.phases, self.request.settings)
        if "robustness" in plan.phases:
            from benchmarks.conditions.table import conditions_of
            from benchmarks.run.noisy_test_sets import make_trials, trial_names

            conditions, missing = conditions_of(self.request.conditions)
            made = make_trials(self.materials, trial_names(conditions))
            if made is not None:
                plan = replace(plan, trial_protocol=made[0], trials=tuple(made[1]), shed=tuple(missing))
        decision = None
        if self.crew.leads and self.request.budget_s is not None:
            open_clips = {unit: len(unit.clip_ids) for unit in make_units(plan, self.materials)}
            left_s = self.request.budget_s - (time.monotonic() - self.started)
            kept = shed(plan, left_s, self.materials, _paces(footprints), open_clips)
            decision = ([trial.name for trial in kept.trials], kept.settings.rounds, [*plan.shed, *kept.shed])
        if earlier is not None and earlier.get("asked") == asked_hash(self.request):
            names = [condition["condition"] for condition in earlier["conditions"]]
            decision = (names, earlier["settings"]["rounds"], earlier["shed"])
        decision = self.crew.agree(decision)
        if decision is None:
            return plan
        names, rounds, sentences = decision
        for sentence in sentences if self.crew.leads else ():
            say(f"budget: {sentence}")
        return replace(
            plan,
            trials=tuple(trial for trial in plan.trials if trial.name in names),
            settings=replace(plan.settings, rounds=rounds),
            shed=tuple(sentences),
        )

    def _reusable(self, environment: Record, earlier: Record | None) -> set[str]:
        """Files of an earlier start whose figures still hold.

        Sizes hold for the same weights on the same machine with the same software, times only if the
        same was asked, too: they were measured side by side.
        """
        path = self.folder / ENVIRONMENT_FILE
        if not path.is_file():
            return set()
        before = read_document(path)
        if any(before.get(key) != environment[key] for key in ("hw", "sw")):
            return set()
        weights = {
            record["backend"]: record.get("weights") for record in _lines(self.folder / FOOTPRINT_FILE)
        }
        rows = {outcome.name: outcome.row for outcome in self._outcomes if outcome.alive}
        known = weights.keys() & rows.keys()
        if not known or any(weights[name] != weights_hash(rows[name]) for name in known):
            return set()
        reusable = {FOOTPRINT_FILE}
        if earlier is not None and earlier.get("asked") == asked_hash(self.request):
            for name in (LATENCY_FILE, COLD_FILE):
                timed = {record["backend"] for record in _lines(self.folder / name)}
                if timed and known <= timed:
                    reusable.add(name)
        return reusable

    def _time(self, plan: Plan, footprints: Sequence[Record], reusable: set[str]) -> None:
        if not any(outcome.alive for outcome in self._outcomes):
            return
        if "latency" in plan.phases and LATENCY_FILE not in reusable:
            rss = {record["backend"]: record["peak_rss_bytes"] for record in footprints}
            time_latency(self._outcomes, self.materials.sample, plan.settings, self.folder, rss)
        if "cold" in plan.phases and COLD_FILE not in reusable:
            time_cold(self._outcomes, self.materials.sample, plan.settings, self.folder)

    def _write(self, plan: Plan, complete: bool) -> None:
        document = run_document(self.identity, self.request, plan, self.materials, self._outcomes, complete)
        write_document(self.folder / RUN_FILE, document)
        vocabulary().save(self.folder)

    def _report(self) -> None:
        from benchmarks.report import print_report, write_report

        print_report(write_report(self.folder, self.request.allow_fixture), self.folder)

    def _exit_code(self) -> int:
        if not holds_figures(self._outcomes):
            return EXIT_NOTHING_MEASURED
        failed = any(outcome.status == STATUS_FAILED for outcome in self._outcomes)
        return EXIT_BACKEND_FAILED if failed else EXIT_OK


def _paces(footprints: Sequence[Record]) -> dict[str, Pace]:
    return {record["backend"]: Pace(**record["pace"]) for record in footprints}


def _lines(path: Path) -> list[Record]:
    return list(read_records(path)) if path.is_file() else []
