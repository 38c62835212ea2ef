"""All tables of a report from the records of a run: what every format, picture and page is made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records.checked import to_json
from benchmarks.records.files import RunRecords, read_run
from benchmarks.records.run_record import Environment, RunRecord
from benchmarks.reports import (
    main_table,
    noise_tables,
    pair_table,
    resources,
    score_tables,
    unheard,
)
from benchmarks.reports.choice import Requirements
from benchmarks.reports.scores import answer_frame, passed_on_shares, score_run
from benchmarks.reports.table import Column, Table, table_of, text_columns
from benchmarks.reports.verdict import verdict
from benchmarks.run.entries import refuse_fixtures
from inference.vocabulary import use_vocabulary_of


@dataclass(frozen=True)
class Report:
    """The tables of a run.

    Attributes:
        records: What they are made of.
        answers: One row per answer, scored.
        unheard: Answers to voices that no model heard, by backend; empty without other words.
        verdict: What to ship, sentence by sentence, as Markdown.
        tables: By name, in the order of the report; tables without rows are left out.
        fixtures: Rows whose weights are stand-ins; not empty only where that was allowed.
    """

    records: RunRecords
    answers: pd.DataFrame
    unheard: unheard.AllUnheard
    verdict: list[str]
    tables: dict[str, Table]
    fixtures: list[str]

    @property
    def title(self) -> str:
        """Heading of the report."""
        return f"Benchmark {self.records.run.run}"

    @property
    def watermark(self) -> str | None:
        """What must stand on everything that is shown; None for real weights."""
        if not self.fixtures:
            return None
        return f"FIXTURE, no results: stand-in weights in {', '.join(self.fixtures)}"


def read_report(
    folder: Path, allow_fixture: bool = False, requirements: Requirements | None = None
) -> Report:
    """Reads a result folder and makes its tables.

    Raises:
        UserError: If it is no folder of a run, holds figures of stand-in weights that were not asked for, or
            lacks what a limit is on.
    """
    use_vocabulary_of(folder)
    records = read_run(folder)
    refuse_fixtures(_fixtures(records), allow_fixture)
    return make_report(records, requirements)


def make_report(records: RunRecords, requirements: Requirements | None = None) -> Report:
    """Scores the records, makes all tables and says what to ship under the limits."""
    run = records.run
    answers = answer_frame(records.answers())
    scores = score_run(run, answers)
    found = unheard.unheard_answers(run, answers)
    timings = resources.timing_frame(records.latency)
    reasons = main_table.missing_reasons(run)
    conditions = noise_tables.condition_table(run, answers)
    tables = [
        main_table.main_table(records, answers, scores, timings, found),
        unheard.unheard_table(run, found, reasons),
        score_tables.accuracy_table(run, scores, reasons),
        score_tables.speaker_table(run, scores),
        score_tables.digit_table(run, scores),
        score_tables.confusion_table(run, scores),
        score_tables.unmapped_table(run, scores),
        pair_table.pair_table(run, answers),
        resources.latency_table(run, timings, reasons, passed_on_shares(answers)),
        resources.stage_table(run, timings),
        resources.cold_table(run, records.cold, reasons),
        resources.size_table(run, records.footprint, reasons),
        resources.memory_table(run, records.footprint, reasons),
        noise_tables.condition_summary_table(conditions),
        conditions,
        noise_tables.rejection_table(run, answers),
        failure_table(run),
        environment_table(run.environment),
    ]
    required = {"speakers", "digits", "confusion", "pairs", "failures"}
    kept = {table.name: table for table in tables if len(table) or table.name in required}
    sentences = verdict(run, answers, kept["main"], found, requirements)
    return Report(records, answers, found, sentences, kept, _fixtures(records))


def _fixtures(records: RunRecords) -> list[str]:
    return [entry.backend for entry in records.run.backends if entry.fixture]


def failure_table(run: RunRecord) -> Table:
    """What failed or could not run."""
    rows: list[dict[str, Any]] = []
    for entry in run.backends:
        rows += [{"backend": entry.backend, **to_json(failure)} for failure in entry.failures]
        if entry.status != "ok":
            if not entry.failures:
                rows.append({"backend": entry.backend, "kind": entry.status, "reason": entry.reason})
            continue
        rows += [
            {"backend": entry.backend, "protocol": protocol, "kind": told.status, "reason": told.reason}
            for protocol, told in entry.protocols.items()
            if told.status != "ok"
        ]
    rows += [{"backend": "all", "kind": "budget", "reason": sentence} for sentence in run.skipped_for_budget]
    for row in rows:
        row["what"] = row.pop("reason", None)
    return table_of(
        "failures",
        "Failures and skips",
        [
            Column(name, name, numeric=False, missing="does not apply")
            for name in ("backend", "phase", "protocol", "condition", "kind", "what")
        ],
        rows,
    )


def environment_table(environment: Environment) -> Table:
    """One row per fact."""
    facts = pd.json_normalize(to_json(environment)).iloc[0].items()
    rows = [
        {"fact": fact, "value": ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else value}
        for fact, value in facts
    ]
    return table_of(
        "environment",
        "Environment",
        [
            *text_columns("fact"),
            Column(
                "value", "value", numeric=False, missing="this system does not tell, or it is not installed"
            ),
        ],
        rows,
    )
