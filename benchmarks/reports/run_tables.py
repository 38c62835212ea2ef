"""What became of a run: failures, environment, and the sentences that every table needs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.records.checked import to_json
from benchmarks.records.layout import EntryRecord, Environment, ProtocolRecord, RunRecord
from benchmarks.reports.answers import CLEAN
from benchmarks.reports.table import Column, Table, table_of, text_columns
from benchmarks.reports.uncertainty import LEAST_BOOTSTRAP_SPEAKERS
from inference.transcripts import mapping_version

#: What the names of protocols begin with whose voices no model heard.
OUTSIDE = "external:"


def headline_protocol(run: RunRecord) -> ProtocolRecord:
    """The protocol that decides: voices that no model heard, else the first of new speakers, else any."""
    outside = [protocol for protocol in run.protocols if protocol.protocol.startswith(OUTSIDE)]
    new = [protocol for protocol in run.protocols if protocol.new_speakers]
    return (*outside, *new, *run.protocols)[0]


def missing_reasons(run: RunRecord) -> dict[str, str]:
    """Backend -> why it lacks figures and what would mend it; only those that were not measured whole."""
    return {
        entry.backend: ". ".join(
            part.rstrip(".") for part in (f"{entry.backend}: {entry.reason}", entry.fix) if part
        )
        for entry in run.backends
        if entry.status != "ok" and entry.reason
    }


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
        row["what"] = row.get("reason")
    return table_of(
        "failures",
        "Failures and skips",
        [
            Column(name, name, numeric=False, missing="does not apply")
            for name in ("backend", "phase", "protocol", "condition", "kind", "what")
        ],
        rows,
        more=("traceback",),
    )


def environment_table(environment: Environment) -> Table:
    """One row per fact."""
    rows = [{"fact": key, "value": value} for key, value in _flat(to_json(environment))]
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


def _flat(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str | None]]:
    facts: list[tuple[str, str | None]] = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            facts += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, tuple):
            facts.append((f"{prefix}{key}", ", ".join(map(str, value)) or "none"))
        else:
            facts.append((f"{prefix}{key}", None if value is None else str(value)))
    return facts


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
