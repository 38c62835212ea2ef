"""One run: first acquaintance, plan, answers, times, records and tables."""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measure.answers import answer_all, collect_answers
from benchmarks.measure.environment import describe_environment, load_of_machine
from benchmarks.measure.footprint import measure_sizes
from benchmarks.measure.timing import time_cold, time_latency
from benchmarks.records.files import (
    COLD_FILE,
    FOOTPRINT_FILE,
    LATENCY_FILE,
    RUN_FILE,
    cut_torn_line,
    record_writer,
    records_if_any,
    write_document,
)
from benchmarks.records.measurements import ColdStart, Cost, Footprint, TimedCall
from benchmarks.records.run_record import Environment, RunRecord
from benchmarks.run.content_hashes import weights_hash
from benchmarks.run.inputs import Inputs
from benchmarks.run.plan import Plan, estimate_seconds, make_jobs, plan_lines, skip_for_budget
from benchmarks.run.processes import Processes
from benchmarks.run.progress import say
from benchmarks.run.request import Request
from benchmarks.run.run_files import asked_hash, run_record
from benchmarks.run.status import STATUS_FAILED, STATUS_OK, STATUS_UNAVAILABLE, EntryStatus
from inference.command_line import EXIT_INTERRUPTED, EXIT_OK
from inference.vocabulary import vocabulary

EXIT_BACKEND_FAILED = 3
EXIT_NOTHING_MEASURED = 4


@dataclass
class Benchmark:
    """One run from its plan to its tables; all processes that share it walk through it.

    Attributes:
        identity: ``run`` and ``command`` of ``run.json``.
        started: When the command began, on the clock of ``time.monotonic``.
    """

    request: Request
    processes: Processes
    inputs: Inputs
    folder: Path
    identity: Mapping[str, str]
    started: float

    def __post_init__(self) -> None:
        self._statuses = [EntryStatus(self.inputs.timed_entry(entry)) for entry in self.inputs.entries]
        for status in self._statuses:
            found = [self.inputs.checkpoints[status.name, t.protocol] for t in self.inputs.test_sets]
            if not any(checkpoints.by_fold for checkpoints in found):
                status.end(STATUS_UNAVAILABLE, found[0].reason, found[0].fix)

    def show_plan(self) -> int:
        """Prints what would be measured; nothing is written."""
        footprints = self._measure_sizes((), few_calls=True)
        plan = self._plan(footprints, None)
        open_clips = {job: len(job.clip_ids) for job in make_jobs(plan, self.inputs)}
        seconds = estimate_seconds(plan, self.inputs, _costs(footprints), open_clips)
        missing = {s.name: f"{s.reason} {s.fix or ''}".strip() for s in self._statuses if not s.is_running}
        sys.stdout.write("\n".join(plan_lines(plan, self.inputs, seconds, open_clips, missing)) + "\n")
        return EXIT_OK

    def measure(self, earlier: RunRecord | None) -> int:
        """Measures, writes the records and the report, and prints its table.

        Args:
            earlier: The ``run.json`` of the run that is gone on with.

        Returns:
            The exit code.
        """
        is_main = self.processes.is_main_process
        environment = describe_environment(self.request.settings.threads)
        reusable = self._reusable(environment, earlier) if is_main else set()
        environment = replace(environment, load_before=load_of_machine())
        complete, plan = True, Plan(self.request.phases, self.request.settings)
        try:
            footprints = self._measure_sizes(reusable)
            plan = self._plan(footprints, earlier)
            if is_main:
                self._write(plan, environment, complete=False)
            jobs = make_jobs(plan, self.inputs)
            answer_all(self._statuses, jobs, self.folder, plan.settings, self.processes)
            if not is_main:
                return EXIT_OK
            collect_answers(self._statuses, jobs, self.folder)
            self._time(plan, footprints, reusable)
            for status in self._statuses:
                if status.is_running:
                    status.end(STATUS_OK)
        except KeyboardInterrupt:
            complete = False
            if not is_main:
                return EXIT_INTERRUPTED
            collect_answers(self._statuses, make_jobs(plan, self.inputs), self.folder)
            say(f"interrupted; what was measured is kept in {self.folder}; go on with --resume")
        self._write(plan, replace(environment, load_after=load_of_machine()), complete)
        self._report()
        return self._exit_code() if complete else EXIT_INTERRUPTED

    def _measure_sizes(self, reusable: Collection[str], few_calls: bool = False) -> list[Footprint]:
        """Meets the entries, in the main process; all of them then know what became of each."""
        footprints: list[Footprint] = []
        if self.processes.is_main_process:
            path = self.folder / FOOTPRINT_FILE
            known = {}
            if FOOTPRINT_FILE in reusable:
                known = {record.backend: record for record in records_if_any(path, Footprint)}
            phases = () if few_calls else self.request.phases
            running = [status for status in self._statuses if status.is_running]
            with ExitStack() as stack:
                write: Callable[[Any], object] = id
                if not few_calls:
                    if not known:
                        path.unlink(missing_ok=True)
                    write = stack.enter_context(record_writer(path))
                sample, settings = self.inputs.sample, self.request.settings
                footprints = measure_sizes(running, sample, settings, phases, known, write)
        footprints, statuses = self.processes.broadcast((footprints, self._statuses))
        self._statuses = list(statuses)
        return footprints

    def _plan(self, footprints: Sequence[Footprint], earlier: RunRecord | None) -> Plan:
        """What to measure: all that was asked, what an earlier start planned, or what the budget leaves."""
        plan = Plan(self.request.phases, self.request.settings)
        if "robustness" in plan.phases:
            from benchmarks.conditions.table import conditions_of
            from benchmarks.run.noisy_test_sets import condition_names, make_noisy_test_sets

            names = condition_names(conditions_of(self.request.conditions))
            made = make_noisy_test_sets(self.inputs, names)
            if made is not None:
                plan = replace(plan, noisy_protocol=made[0], noisy_test_sets=tuple(made[1]))
        decision = None
        if self.processes.is_main_process and self.request.budget_s is not None:
            open_clips = {job: len(job.clip_ids) for job in make_jobs(plan, self.inputs)}
            left_s = self.request.budget_s - (time.monotonic() - self.started)
            kept = skip_for_budget(plan, left_s, self.inputs, _costs(footprints), open_clips)
            names = [noisy.condition for noisy in kept.noisy_test_sets]
            decision = (names, kept.settings.rounds, [*kept.skipped])
        if earlier is not None and earlier.asked == asked_hash(self.request):
            names = [condition.condition for condition in earlier.conditions]
            decision = (names, earlier.settings.rounds, list(earlier.skipped_for_budget))
        decision = self.processes.broadcast(decision)
        if decision is None:
            return plan
        names, rounds, sentences = decision
        for sentence in sentences if self.processes.is_main_process else ():
            say(f"budget: {sentence}")
        return replace(
            plan,
            noisy_test_sets=tuple(noisy for noisy in plan.noisy_test_sets if noisy.condition in names),
            settings=replace(plan.settings, rounds=rounds),
            skipped=tuple(sentences),
        )

    def _reusable(self, environment: Environment, earlier: RunRecord | None) -> set[str]:
        """Files of an earlier start whose figures still hold.

        Sizes hold for the same weights on the same machine with the same software, times only if the
        same was asked, too: they were measured side by side.
        """
        before = earlier.environment if earlier else None
        if before is None or (before.hw, before.sw) != (environment.hw, environment.sw):
            return set()
        cut_torn_line(self.folder / FOOTPRINT_FILE)
        footprints = records_if_any(self.folder / FOOTPRINT_FILE, Footprint)
        weights = {record.backend: record.weights for record in footprints}
        entries = {status.name: status.entry for status in self._statuses if status.is_running}
        known = weights.keys() & entries.keys()
        if not known or any(weights[name] != weights_hash(entries[name]) for name in known):
            return set()
        reusable = {FOOTPRINT_FILE}
        if earlier and earlier.asked == asked_hash(self.request):
            calls = records_if_any(self.folder / LATENCY_FILE, TimedCall)
            starts = records_if_any(self.folder / COLD_FILE, ColdStart)
            for name, records in ((LATENCY_FILE, calls), (COLD_FILE, starts)):
                timed = {record.backend for record in records}
                if timed and known <= timed:
                    reusable.add(name)
        return reusable

    def _time(self, plan: Plan, footprints: Sequence[Footprint], reusable: set[str]) -> None:
        if not any(status.is_running for status in self._statuses):
            return
        if "latency" in plan.phases and LATENCY_FILE not in reusable:
            rss = {record.backend: record.peak_rss_bytes for record in footprints}
            time_latency(self._statuses, self.inputs.sample, plan.settings, self.folder, rss)
        if "cold" in plan.phases and COLD_FILE not in reusable:
            time_cold(self._statuses, self.inputs.sample, plan.settings, self.folder)

    def _write(self, plan: Plan, environment: Environment, complete: bool) -> None:
        facts = self.identity, self.request, plan, self.inputs, self._statuses, environment, complete
        write_document(self.folder / RUN_FILE, run_record(*facts))
        vocabulary().save(self.folder)

    def _report(self) -> None:
        from benchmarks.report import print_report, write_report

        print_report(write_report(self.folder, self.request.allow_fixture), self.folder)

    def _exit_code(self) -> int:
        states = {status.state for status in self._statuses}
        if STATUS_OK not in states:
            return EXIT_NOTHING_MEASURED
        return EXIT_BACKEND_FAILED if STATUS_FAILED in states else EXIT_OK


def _costs(footprints: Sequence[Footprint]) -> dict[str, Cost]:
    return {record.backend: record.cost for record in footprints if record.cost is not None}
