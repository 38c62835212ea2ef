"""T1: one row per backend with the figures that decide."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.reports.run_tables import captions, flags_of, missing_reasons
from benchmarks.reports.score_tables import AllScores, accuracy_row, reason_of
from benchmarks.reports.sizes import NO_MACS, size_row
from benchmarks.reports.speed import (
    QUANTILES,
    UNRELIABLE_SHARE,
    cold_row,
    latency_row,
    needs_calls,
    ratio_row,
    rounds_proper,
)
from benchmarks.reports.table import (
    REASON,
    Column,
    Table,
    digits,
    frame,
    is_missing,
    megabytes,
    millions,
    percent,
)
from benchmarks.reports.uncertainty import least_samples
from benchmarks.run.records import Record, RunRecords

#: What a terminal of 100 columns has room for.
SCREEN_KEYS = ("backend", "accuracy", "p50_ms", "p95_ms", "opened_bytes", "peak_rss_bytes", "flags")

#: What decides at first sight.
README_KEYS = (
    "backend",
    "accuracy",
    "worst_speaker_accuracy",
    "accuracy_official",
    "unmapped",
    "p50_ms",
    "p95_ms",
    "ratio",
    "cold_start_s",
    "opened_bytes",
    "runtime_bytes",
    "peak_rss_bytes",
    "parameters",
    "flags",
)


def headline_protocol(run: Record) -> Mapping[str, Any]:
    """The protocol that decides: the first one with new speakers, otherwise the first."""
    return next((row for row in run["protocols"] if row["new_speakers"]), run["protocols"][0])


def main_table(records: RunRecords, answers: pd.DataFrame, scores: AllScores, timings: pd.DataFrame) -> Table:
    """Joins accuracy, latency, cold start, size and memory."""
    run = records.run
    headline = headline_protocol(run)["protocol"]
    others = [row["protocol"] for row in run["protocols"] if row["protocol"] != headline]
    proper = rounds_proper(timings, run["settings"]["threads"])
    timed = set(proper["backend"])
    reference = next((row["backend"] for row in run["backends"] if row["backend"] in timed), None)
    reference_calls = proper[proper["backend"] == reference]
    footprints = {record["backend"]: record for record in records.footprint}
    loads = {
        record["backend"]: record
        for record in records.loads
        if record["threads"] == run["settings"]["threads"]
    }
    reasons = missing_reasons(run)
    rows = []
    for row in run["backends"]:
        name = row["backend"]
        footprint = footprints.get(name)
        calls = proper[proper["backend"] == name]
        latency = latency_row(calls)
        flags = flags_of(run, row, footprint["zero_shot"] if footprint else None)
        if latency.get("contended", 0.0) > UNRELIABLE_SHARE:
            flags.append("ms unreliable")
        if any(
            (name, protocol) in scores and scores[name, protocol].errors for protocol in (headline, *others)
        ):
            flags.append("some clips without answer")
        cells: dict[str, Any] = {
            "backend": name,
            "family": row["family"],
            "checkpoint": row["checkpoint"],
            "status": row["status"],
            "protocol": headline,
            "test_clips": headline_protocol(run)["test_clips"],
            "trained_on": _training(row, footprint is not None and footprint["zero_shot"]),
            "reference": reference,
            "cold_start_s": cold_row(records.cold, name).get("total_s"),
            "load_seconds": loads[name]["load_seconds"] if name in loads else None,
            "first_call_ms": loads[name]["first_call_ms"] if name in loads else None,
            "device": footprint["device"] if footprint else None,
            "flags": ", ".join(flags),
            REASON: reason_of(row, headline, reasons),
            **{f"accuracy_{other}{part}": None for other in others for part in ("", "_low", "_high")},
            **latency,
            **ratio_row(calls, reference_calls),
        }
        if footprint:
            cells |= {**size_row(footprint), "peak_rss_bytes": footprint["peak_rss_bytes"]}
        if (name, headline) in scores:
            figures = accuracy_row(scores[name, headline])
            cells |= {
                key: figures[key] for key in ("accuracy", "accuracy_low", "accuracy_high", "interval_method")
            }
            cells |= {"n": figures["answered"], "macro_f1": figures["macro_f1"]}
            cells |= {
                key: figures[key]
                for key in ("worst_speaker_accuracy", "worst_speaker", "unmapped", "refused")
            }
        for other in others:
            if (name, other) in scores:
                figures = accuracy_row(scores[name, other])
                cells |= {
                    f"accuracy_{other}{part}": figures[f"accuracy{part}"] for part in ("", "_low", "_high")
                }
        rows.append(cells)
    table = frame(rows, _keys(others))
    return Table(
        "main",
        "Comparison",
        _columns(run, headline, others, reference, table),
        table,
        [*captions(run, answers), *_notes(run)],
        _bold(table),
    )


def _keys(others: list[str]) -> list[str]:
    return [
        "backend",
        "family",
        "checkpoint",
        "status",
        "trained_on",
        "protocol",
        "test_clips",
        "n",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "interval_method",
        "macro_f1",
        "worst_speaker",
        "worst_speaker_accuracy",
        *(f"accuracy_{other}{part}" for other in others for part in ("", "_low", "_high")),
        "unmapped",
        "refused",
        "calls",
        *(f"{name}_ms{part}" for name in QUANTILES for part in ("", "_low", "_high")),
        "contended",
        "cold_start_s",
        "load_seconds",
        "first_call_ms",
        "reference",
        "ratio",
        "ratio_low",
        "ratio_high",
        "opened_bytes",
        "checkpoint_bytes",
        "runtime_bytes",
        "peak_rss_bytes",
        "parameters",
        "macs_second",
        "device",
        "flags",
        REASON,
    ]


def _columns(
    run: Record, headline: str, others: list[str], reference: str | None, table: pd.DataFrame
) -> list[Column]:
    new_speakers = {row["protocol"]: row["new_speakers"] for row in run["protocols"]}
    enough = "p99_ms" in table and table["p99_ms"].notna().any()
    return [
        Column("backend", "backend", numeric=False),
        Column("trained_on", "trained on", numeric=False, missing="its checkpoint has no split card"),
        Column("accuracy", _accuracy_heading(headline, new_speakers[headline]), percent),
        Column("worst_speaker_accuracy", "worst speaker %", percent),
        *(
            Column(f"accuracy_{other}", _accuracy_heading(other, new_speakers[other]), percent)
            for other in others
        ),
        Column("unmapped", "unmapped %", percent),
        Column("refused", "refused %", percent),
        Column("p50_ms", "p50 ms [95 %]", digits, missing=needs_calls("p50")),
        Column("p95_ms", "p95 ms [95 %]", digits, missing=needs_calls("p95")),
        *([Column("p99_ms", "p99 ms [95 %]", digits, missing=needs_calls("p99"))] if enough else []),
        Column(
            "cold_start_s", "cold start s", digits, missing="cold starts were not measured (--phases cold)"
        ),
        Column(
            "ratio",
            f"x {reference} [95 %]",
            digits,
            missing=f"a ratio needs {least_samples(0.5)} rounds in which both backends were timed",
        ),
        Column("opened_bytes", "artefact MB", megabytes),
        Column("runtime_bytes", "runtime MB", megabytes),
        Column(
            "peak_rss_bytes",
            "RSS MB",
            megabytes,
            missing="peak memory is read from /proc, which this system does not have",
        ),
        Column("parameters", "params M", millions, missing="the backend cannot count its parameters"),
        Column("macs_second", "M MACs at 1 s", millions, missing=NO_MACS),
        Column("device", "device", numeric=False),
        Column("flags", "flags", numeric=False),
    ]


def _accuracy_heading(protocol: str, new_speakers: bool) -> str:
    return f"{protocol} % [95 %]" if new_speakers else f"{protocol} % (same speakers, saturated) [95 %]"


def _training(row: Mapping[str, Any], zero_shot: bool) -> str | None:
    if zero_shot:
        return "nothing of this task"
    for facts in row["protocols"].values():
        if facts.get("trained_on"):
            clips = facts.get("train_clips")
            return f"{facts['trained_on']}, {clips} clips" if clips else str(facts["trained_on"])
    return None


def _notes(run: Record) -> list[str]:
    settings = run["settings"]
    return [
        "Accuracy: right answers with a 95 % interval; answers that are no digit (unmapped) count as "
        "errors, refused ones do not. zero-shot: saw no clip of this task. Bold: the interval excludes the "
        "runner-up.",
        f"p50, p95: milliseconds from a waveform in memory to the answer, one clip a call, "
        f"{settings['rounds']} interleaved rounds, {settings['threads']} thread(s). Cold start: a fresh "
        "process to its first answer. Artefact: files of the checkpoint that were opened. Runtime: the "
        "packages behind it. RSS: peak resident memory of a process apart.",
    ]


def _bold(table: pd.DataFrame) -> frozenset[tuple[int, str]]:
    """The best accuracy, if its interval excludes the estimate of the second best."""
    ranked = table["accuracy"].dropna().astype(float).sort_values(ascending=False)
    if len(ranked) < 2:
        return frozenset()
    best = int(ranked.index[0])
    low = table.loc[best, "accuracy_low"]
    return frozenset({(best, "accuracy")}) if not is_missing(low) and low > ranked.iloc[1] else frozenset()
