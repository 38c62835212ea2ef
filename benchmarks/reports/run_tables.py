"""What became of a run: failures, environment, and the sentences that every table needs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.reports.answers import CLEAN
from benchmarks.reports.table import Column, Table, table_of, text_columns
from benchmarks.run.records import Record
from inference.transcripts import mapping_version


def missing_reasons(run: Record) -> dict[str, str]:
    """Backend -> why it lacks figures and what would mend it; only those that were not measured whole."""
    return {
        row["backend"]: ". ".join(
            str(part).rstrip(".") for part in (f"{row['backend']}: {row['reason']}", row["fix"]) if part
        )
        for row in run["backends"]
        if row["status"] != "ok" and row["reason"]
    }


def failure_table(run: Record) -> Table:
    """T9: what failed or could not run."""
    rows: list[dict[str, Any]] = []
    for row in run["backends"]:
        for failure in row["failures"]:
            rows.append({"backend": row["backend"], **failure})
        if row["status"] != "ok" and not row["failures"]:
            rows.append({"backend": row["backend"], "kind": row["status"], "reason": row["reason"]})
        for protocol, told in row["protocols"].items():
            if told.get("status") not in ("ok", None) and row["status"] == "ok":
                rows.append(
                    {
                        "backend": row["backend"],
                        "protocol": protocol,
                        "kind": told["status"],
                        "reason": told.get("reason"),
                    }
                )
    rows += [{"backend": "all", "kind": "shed", "reason": sentence} for sentence in run["shed"]]
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


def environment_table(environment: Record) -> Table:
    """T10: one row per fact."""
    rows = [{"fact": key, "value": value} for key, value in _flat(environment)]
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
        elif isinstance(value, list):
            facts.append((f"{prefix}{key}", ", ".join(map(str, value)) or "none"))
        else:
            facts.append((f"{prefix}{key}", None if value is None else str(value)))
    return facts


def flags_of(run: Record, row: Mapping[str, Any], zero_shot: bool | None) -> list[str]:
    """What a reader must know about a row before comparing it."""
    flags = [] if row["status"] == "ok" else [row["status"]]
    told = [(name, facts) for name, facts in row["protocols"].items()]
    flags += [f"LEAK of {facts['leaked_clips']} clips" for _, facts in told if facts.get("leaked_clips")]
    corpora = {protocol["protocol"]: protocol["dataset"] for protocol in run["protocols"]}
    if row["fixture"]:
        flags.append("FIXTURE")
    elif row["status"] == "unavailable":
        pass  # Nothing is known of what could not be loaded.
    elif zero_shot:
        flags.append("zero-shot")
    elif told and all(facts.get("trained_on") is None for _, facts in told):
        flags.append("no split card")
    else:
        foreign = {
            facts["trained_on"]
            for name, facts in told
            if facts.get("trained_on") not in (None, corpora.get(name))
        }
        flags += [f"trained on {name}" for name in sorted(foreign)]
    if any(protocol["measured_clips"] < protocol["test_clips"] for protocol in run["protocols"]):
        flags.append("subset")
    return flags


def captions(run: Record, answers: pd.DataFrame) -> list[str]:
    """What a reader must know to read the main table."""
    notes = [
        f"{protocol['protocol']}: {protocol['dataset_description']}; {protocol['caption']}; "
        f"{protocol['measured_clips']} clips, fingerprint {protocol['fingerprint']}"
        + (
            ""
            if protocol["measured_clips"] == protocol["test_clips"]
            else f", A SUBSET of {protocol['test_clips']}"
        )
        + f". {_reach(protocol, answers)}"
        for protocol in run["protocols"]
    ]
    notes += [
        f"FIXTURE: {row['backend']} is a stand-in and no result: {row['fixture']}"
        for row in run["backends"]
        if row["fixture"]
    ]
    notes += [f"Left out to stay in the budget: {sentence}" for sentence in run["shed"]]
    if not run["complete"]:
        notes.append("INTERRUPTED: this run was stopped; complete figures only.")
    if run["mapping_version"] != mapping_version():
        changed = int((answers["label"].fillna("none") != answers["recorded_label"].fillna("none")).sum())
        notes.append(
            f"Text was mapped to digits again: {run['mapping_version']} at the run, {mapping_version()} "
            f"here; {changed} answers changed."
        )
    return notes


def _reach(protocol: Mapping[str, Any], answers: pd.DataFrame) -> str:
    """What the interval says and what it does not."""
    if not protocol["new_speakers"]:
        return "Same speakers, saturated: it says nothing of new voices. Wilson interval over clips."
    asked = (answers["protocol"] == protocol["protocol"]) & (answers["condition"] == CLEAN)
    speakers = answers.loc[asked, "speaker"].nunique()
    if speakers < 2:
        return "One new voice: it says nothing of other voices. Wilson interval over clips."
    return f"{speakers} new voices are the unit of the t interval: it is about further voices of this kind."
