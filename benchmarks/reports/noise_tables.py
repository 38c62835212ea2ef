"""Answers under conditions -> accuracy by condition, a summary per backend, refusal of non-digits."""

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.conditions.table import FAMILIES, SNR_UNIT
from benchmarks.records.run_record import CLEAN, OTHER_WORDS, REJECTION, ConditionRecord, RunRecord
from benchmarks.reports.scores import of_condition, speaker_accuracies
from benchmarks.reports.table import (
    Column,
    Table,
    percent,
    points,
    table_of,
    text_columns,
    whole,
)
from benchmarks.reports.uncertainty import paired_t

SNR_FAMILIES = frozenset(family.name for family in FAMILIES if family.unit == SNR_UNIT)
UNITS = {family.name: family.unit for family in FAMILIES}


def condition_table(run: RunRecord, answers: pd.DataFrame) -> Table:
    """Accuracy under each condition, and its change from the same clips clean, paired by speaker."""
    baseline = _baseline(run)
    rows = []
    for entry in run.backends:
        for condition in run.conditions:
            if condition.condition not in (CLEAN, OTHER_WORDS, REJECTION):
                rows.append(_condition_row(entry.backend, condition, baseline, answers))
    return table_of(
        "robustness",
        "Robustness by condition",
        [
            *text_columns("backend", "condition"),
            Column("clips", "clips", whole),
            Column("accuracy", "accuracy %", percent),
            Column("change", "change from clean, points", points),
            Column("snr_db", "realised SNR dB", lambda value: f"{value:.1f}", missing="no noise was added"),
        ],
        [row for row in rows if row["clips"]],
        [
            "Conditions are made at 8 kHz and 16 bit; every random choice is seeded by clip and condition. "
            "The change is against the same clips without the condition, with a 95 % t interval over "
            "speakers.",
            "Training with noise, where a backend had it, is said by the card of its checkpoint.",
        ],
    )


def _baseline(run: RunRecord) -> str:
    """What conditions are compared with: the clean clips at their rate where they were tried, too."""
    tried = (row.condition for row in run.conditions if row.family == CLEAN)
    return next((name for name in tried if name != CLEAN), CLEAN)


def _condition_row(
    backend: str, condition: ConditionRecord, baseline: str, answers: pd.DataFrame
) -> dict[str, Any]:
    heard = of_condition(answers, backend, condition.protocol, condition.condition)
    heard = heard[heard["ok"]]
    row: dict[str, Any] = {
        "backend": backend,
        **{key: getattr(condition, key) for key in ("protocol", "condition", "family", "level")},
        "unit": UNITS.get(condition.family or "", ""),
        "clips": len(heard),
    }
    if heard.empty:
        return row
    clean = of_condition(answers, backend, condition.protocol, baseline)
    clean = clean[clean["clip"].isin(set(heard["clip"]))]
    by_speaker = speaker_accuracies(heard)
    changes = (by_speaker - speaker_accuracies(clean)).dropna().tolist()
    test = paired_t(changes)
    snr = heard["snr_db"].dropna()
    return row | {
        "accuracy": float(by_speaker.mean()),
        "change": float(np.mean(changes)) if changes else None,
        "change_low": test.interval.low if test else None,
        "change_high": test.interval.high if test else None,
        "snr_db": float(snr.mean()) if len(snr) else None,
    }


def condition_summary_table(conditions: Table) -> Table:
    """One row per backend: mean, 10 dB and worst."""
    rows = []
    frame = conditions.frame
    changed = frame[frame["family"] != CLEAN] if len(frame) else frame
    for backend, group in changed.groupby("backend", sort=False):
        at_10_db = group[group["family"].isin(SNR_FAMILIES) & (group["level"] == 10)]
        worst = group.loc[group["accuracy"].idxmin()]
        rows.append(
            {
                "backend": backend,
                "conditions": len(group),
                "clean": float((group["accuracy"] - group["change"]).iloc[0]),
                "mean": float(group["accuracy"].mean()),
                "at_10_db": float(at_10_db["accuracy"].mean()) if len(at_10_db) else None,
                "worst": float(worst["accuracy"]),
                "worst_condition": worst["condition"],
            }
        )
    return table_of(
        "robustness_summary",
        "Robustness",
        [
            *text_columns("backend"),
            Column("conditions", "conditions", whole),
            Column("clean", "clean %", percent),
            Column("mean", "mean %", percent),
            Column("at_10_db", "noise at 10 dB %", percent, missing="no noise at 10 dB in this suite"),
            Column("worst", "worst %", percent),
            Column("worst_condition", "worst condition", numeric=False),
        ],
        rows,
        ["Means over speakers, then over conditions; the conditions are those of the suite."],
    )


def rejection_table(run: RunRecord, answers: pd.DataFrame) -> Table:
    """Sounds that are no digit: how many are answered with one."""
    rows = []
    for name in run.backend_names:
        sounds = answers[
            (answers["backend"] == name) & (answers["condition"] == REJECTION) & answers["ok"].astype(bool)
        ]
        if sounds.empty:
            continue
        for kind, group in (("all", sounds), *sounds.groupby("speaker", sort=True)):
            answered = group["label"].notna() & group["refused"].isna()
            rows.append(
                {"backend": name, "kind": kind, "sounds": len(group), "answered": float(answered.mean())}
            )
    return table_of(
        "rejection",
        "Sounds that are no digit",
        [
            *text_columns("backend", "kind"),
            Column("sounds", "sounds", whole),
            Column("answered", "answered %, own operating point", percent),
        ],
        rows,
        ["Lower is better; 100 where a checkpoint has no operating point."],
    )
