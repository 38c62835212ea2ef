"""The main table: one row per backend with the figures that decide."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.records.files import RunRecords
from benchmarks.records.run_record import CLEAN, EntryRecord, ProtocolRecord, RunRecord
from benchmarks.reports.resources import (
    NO_MACS,
    UNRELIABLE_SHARE,
    cold_row,
    latency_row,
    needs_calls,
    ratio_row,
    size_row,
)
from benchmarks.reports.score_tables import AllScores, reason_of
from benchmarks.reports.scores import OUTSIDE, headline_protocol, passed_on_shares
from benchmarks.reports.table import (
    REASON,
    Column,
    Table,
    digits,
    megabytes,
    millions,
    percent,
    table_of,
)
from benchmarks.reports.uncertainty import LEAST_BOOTSTRAP_SPEAKERS, least_samples
from benchmarks.reports.unheard import FALSE_ACCEPT_SHARES, HEADLINE, NO_SCORE, AllUnheard, unheard_row
from inference.backends.transcripts import mapping_version

#: Figures without a column of their own, or with one only where they are, that every run has a place for.
EVERY_RUN = ("answered", "accuracy_low", "accuracy_high", "p99_ms")
#: What decides at first sight, and a terminal of 100 columns has room for.
SHORT_KEYS = ("backend", "accuracy", "p50_ms", "p95_ms", "opened_bytes", "peak_rss_bytes")
UNHEARD_SHORT_KEYS = ("backend", HEADLINE, "closed", "own_shown", "p50_ms", "opened_bytes")


def short_keys(table: Table) -> Sequence[str]:
    """The columns for a terminal, and for another document."""
    return UNHEARD_SHORT_KEYS if HEADLINE in table.frame else SHORT_KEYS


def main_table(
    records: RunRecords,
    answers: pd.DataFrame,
    scores: AllScores,
    timings: pd.DataFrame,
    unheard: AllUnheard,
) -> Table:
    """Joins accuracy, latency, cold start, size and memory: one row per backend with what decides."""
    run = records.run
    headline = headline_protocol(run)
    others = [protocol.protocol for protocol in run.protocols if protocol != headline]
    timed = set(timings["backend"])
    reference = next((entry.backend for entry in run.backends if entry.backend in timed), None)
    reasons = missing_reasons(run)
    passed_on = passed_on_shares(answers)
    rows = []
    for entry in run.backends:
        calls = timings[timings["backend"] == entry.backend]
        latency = latency_row(calls)
        cells: dict[str, Any] = {
            "backend": entry.backend,
            "family": entry.family,
            "checkpoint": entry.checkpoint,
            "status": entry.status,
            "protocol": headline.protocol,
            "test_clips": headline.test_clips,
            "reference": reference,
            REASON: reason_of(entry, headline.protocol, reasons),
            **_resource_cells(records, entry),
            **dict.fromkeys(EVERY_RUN),
            **latency,
            "cost_ms": latency.get("mean_ms" if entry.backend in passed_on else "p50_ms"),
            **ratio_row(calls, timings[timings["backend"] == reference]),
            **_accuracy_cells(scores, entry.backend, headline.protocol, others),
            **(unheard_row(unheard[entry.backend]) if entry.backend in unheard else {}),
        }
        flags = flags_of(run, entry, cells["zero_shot"])
        if latency.get("contended", 0.0) > UNRELIABLE_SHARE:
            flags.append("ms unreliable")
        if entry.backend in passed_on and not calls.empty:
            flags.append(
                f"{digits(latency['mean_ms'])} ms in the mean ({percent(passed_on[entry.backend])} % of the "
                "clips go on to its second model)"
            )
        asked = [scores.get((entry.backend, protocol)) for protocol in (headline.protocol, *others)]
        if any(score is not None and score.figures["errors"] for score in asked):
            flags.append("some clips without answer")
        rows.append(cells | {"flags": ", ".join(flags)})
    columns = _columns(run, headline, others, reference, rows, bool(unheard))
    notes = [*captions(run, answers), *_notes(run, bool(unheard))]
    return table_of("main", "Comparison", columns, rows, notes)


def remarks(table: Table) -> list[str]:
    """What must be known of some backends, one sentence each, where the table has no room for it."""
    backends: dict[str, list[str]] = {}
    for backend, flags in zip(table.frame["backend"], table.frame["flags"], strict=True):
        for flag in filter(None, flags.split(", ")):
            backends.setdefault(flag, []).append(backend)
    return [f"{flag}: {', '.join(names)}." for flag, names in backends.items()]


def _resource_cells(records: RunRecords, entry: EntryRecord) -> dict[str, Any]:
    """Size, memory and start of one backend."""
    name, threads = entry.backend, records.run.settings.threads
    footprint = next((record for record in records.footprint if record.backend == name), None)
    load = next((r for r in records.loads if r.backend == name and r.threads == threads), None)
    return {
        "zero_shot": footprint.zero_shot if footprint else None,
        "trained_on": _training(entry, footprint is not None and footprint.zero_shot),
        "cold_start_s": cold_row(records.cold, name).get("total_s"),
        "load_seconds": load.load_seconds if load else None,
        "first_call_ms": load.first_call_ms if load else None,
        "device": footprint.device if footprint else None,
        **(size_row(footprint) if footprint else {}),
        "peak_rss_bytes": footprint.peak_rss_bytes if footprint else None,
    }


def _accuracy_cells(scores: AllScores, name: str, headline: str, others: Sequence[str]) -> dict[str, Any]:
    """Accuracy of one backend under the headline protocol, and under the others."""
    cells: dict[str, Any] = {}
    if (name, headline) in scores:
        cells |= scores[name, headline].figures
        if cells["speakers"] >= LEAST_BOOTSTRAP_SPEAKERS:
            cells |= {"worst_speaker": None, "worst_speaker_accuracy": None}
    for other in others:
        if (name, other) in scores:
            figures = scores[name, other].figures
            cells |= {f"accuracy_{other}{part}": figures[f"accuracy{part}"] for part in ("", "_low", "_high")}
    return cells


def _columns(
    run: RunRecord,
    headline: ProtocolRecord,
    others: list[str],
    reference: str | None,
    rows: Sequence[Mapping[str, Any]],
    unheard: bool,
) -> list[Column]:
    by_name = {protocol.protocol: protocol for protocol in run.protocols}
    enough = any(row["p99_ms"] is not None for row in rows)
    no_ratio = (
        f"the time relative to {reference} needs {least_samples(0.5)} rounds in which both were timed"
        if reference
        else "no backend was timed (--phases latency)"
    )
    return [
        Column("backend", "backend", numeric=False),
        Column("trained_on", "trained on", numeric=False, missing="its checkpoint has no split card"),
        *(
            _unheard_columns()
            if unheard
            else [Column("accuracy", _accuracy_heading(headline, by_name), percent)]
        ),
        Column(
            "worst_speaker_accuracy",
            "worst speaker %",
            percent,
            missing="so many speakers say too little each to tell the worst",
        ),
        *(
            Column(f"accuracy_{other}", _accuracy_heading(by_name[other], by_name), percent)
            for other in others
        ),
        Column("unmapped", "no digit %", percent),
        Column("refused", "refused %", percent),
        Column("p50_ms", "median ms", digits, missing=needs_calls("p50")),
        Column("p95_ms", "p95 ms", digits, missing=needs_calls("p95")),
        *([Column("p99_ms", "p99 ms", digits, missing=needs_calls("p99"))] if enough else []),
        Column("ratio", "relative time", digits, missing=no_ratio),
        Column(
            "cold_start_s", "cold start s", digits, missing="cold starts were not measured (--phases cold)"
        ),
        Column("opened_bytes", "model MB", megabytes),
        Column("runtime_bytes", "packages MB", megabytes),
        Column(
            "peak_rss_bytes",
            "memory MB",
            megabytes,
            missing="peak memory is read from /proc, which this system does not have",
        ),
        Column("parameters", "M parameters", millions, missing="the backend cannot count its parameters"),
        Column("macs_second", "M multiply-adds per s of audio", millions, missing=NO_MACS),
        Column("device", "device", numeric=False),
        Column("flags", "remarks", numeric=False),
    ]


def _unheard_columns() -> list[Column]:
    no_score = f"{NO_SCORE}, or too few other words were asked about"
    return [
        Column(HEADLINE, "unheard voices right %", percent, missing=no_score),
        Column("closed", "best label right %", percent),
        Column("own_shown", "other words shown %", percent),
    ]


def _accuracy_heading(protocol: ProtocolRecord, by_name: Mapping[str, ProtocolRecord]) -> str:
    """What was heard; the protocol, too, where it takes that to tell two columns apart."""
    kind = "new speakers" if protocol.new_speakers else "same speakers"
    alike = [other for other in by_name.values() if other.new_speakers == protocol.new_speakers]
    return f"{kind} %" if len(alike) == 1 else f"{kind} %, {protocol.protocol}"


def _training(entry: EntryRecord, zero_shot: bool) -> str | None:
    if zero_shot:
        return "nothing of this task"
    for facts in entry.protocols.values():
        if facts.trained_on:
            return f"{facts.trained_on}, {facts.train_clips} clips" if facts.train_clips else facts.trained_on
    return None


def _notes(run: RunRecord, unheard: bool) -> list[str]:
    settings = run.settings
    share = f"{100 * FALSE_ACCEPT_SHARES[0]:.0f} %"
    headline = [
        f"Unheard voices: right and shown where the threshold lets {share} of the other words through, "
        "read off these other words. Best label: right if every answer is shown. Other words shown: at "
        "the operating point that the checkpoint brings, chosen beforehand; all where it brings none.",
    ]
    return [
        *(headline if unheard else ()),
        "Accuracy: right answers with a 95 % interval in brackets; an answer that is no digit counts as an "
        "error, one that the operating point refuses does not. zero-shot: saw no clip of this task.",
        f"Median, p95: milliseconds from a waveform in memory to the answer, one clip a call, "
        f"{settings.rounds} interleaved rounds, {settings.threads} thread(s). Relative time: the same "
        "against the first backend, within rounds. Cold start: a fresh process to its first answer. Model: "
        "files of the checkpoint that were opened. Packages: what is installed behind it. Memory: peak "
        "resident memory of a process apart.",
    ]


def missing_reasons(run: RunRecord) -> dict[str, str]:
    """Backend -> why it lacks figures and what would mend it; only those that were not measured whole."""
    return {
        entry.backend: ". ".join(
            part.rstrip(".") for part in (f"{entry.backend}: {entry.reason}", entry.fix) if part
        )
        for entry in run.backends
        if entry.status != "ok" and entry.reason
    }


def flags_of(run: RunRecord, entry: EntryRecord, zero_shot: bool | None) -> list[str]:
    """What a reader must know about a backend before comparing it."""
    flags = [] if entry.status == "ok" else [entry.status]
    told = list(entry.protocols.items())
    flags += [f"LEAK of {facts.leaked_clips} clips" for _, facts in told if facts.leaked_clips]
    corpora = {protocol.protocol: protocol.dataset for protocol in run.protocols}
    if entry.fixture:
        flags.append("FIXTURE")
    elif entry.status == "unavailable":
        pass  # Nothing is known of what could not be loaded.
    elif zero_shot:
        flags.append("zero-shot")
    elif told and all(facts.trained_on is None for _, facts in told):
        flags.append("no split card")
    else:
        foreign = {
            facts.trained_on
            for name, facts in told
            if facts.trained_on is not None
            and facts.trained_on != corpora.get(name)
            and not name.startswith(OUTSIDE)
        }
        flags += [f"trained on {name}" for name in sorted(foreign)]
    if any(protocol.measured_clips < protocol.test_clips for protocol in run.protocols):
        flags.append("subset")
    return flags


def captions(run: RunRecord, answers: pd.DataFrame) -> list[str]:
    """What a reader must know to read the main table."""
    notes = [
        f"{protocol.protocol}: {protocol.dataset_description}; {protocol.caption}; "
        f"{protocol.measured_clips} clips, fingerprint {protocol.fingerprint}"
        + ("" if protocol.measured_clips == protocol.test_clips else f", A SUBSET of {protocol.test_clips}")
        + f". {_reach(protocol, answers)}"
        for protocol in run.protocols
    ]
    notes += [
        f"FIXTURE: {entry.backend} is a stand-in and no result: {entry.fixture}"
        for entry in run.backends
        if entry.fixture
    ]
    notes += [f"Left out to stay in the budget: {sentence}" for sentence in run.skipped_for_budget]
    if not run.complete:
        notes.append("INTERRUPTED: this run was stopped; complete figures only.")
    if run.mapping_version != mapping_version():
        changed = int((answers["label"].fillna("none") != answers["recorded_label"].fillna("none")).sum())
        notes.append(
            f"Text was mapped to digits again: {run.mapping_version} at the run, {mapping_version()} "
            f"here; {changed} answers changed."
        )
    return notes


def _reach(protocol: ProtocolRecord, answers: pd.DataFrame) -> str:
    """What the interval says and what it does not."""
    if not protocol.new_speakers:
        return "Same speakers, saturated: it says nothing of new voices. Wilson interval over clips."
    asked = (answers["protocol"] == protocol.protocol) & (answers["condition"] == CLEAN)
    speakers = answers.loc[asked, "speaker"].nunique()
    if speakers < 2:
        return "One new voice: it says nothing of other voices. Wilson interval over clips."
    interval = "t" if speakers < LEAST_BOOTSTRAP_SPEAKERS else "bootstrap"
    return f"{speakers} new voices are the unit of the {interval} interval: it is about more of this kind."
