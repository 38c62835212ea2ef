"""Records of a run -> one data frame with one row per backend, which every table and picture reads."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.latency import Timings, collect_timings
from benchmarks.records import Record
from benchmarks.scoring import Scores, read_answer, score
from benchmarks.uncertainty import quantile_interval

#: Column -> type, in the order of ``summary.csv``. Nullable types keep a missing value missing.
COLUMNS: dict[str, str] = {
    "backend": "string",
    "status": "string",
    "protocol": "string",
    "fold": "string",
    "seed": "Int64",
    "dataset": "string",
    "fingerprint": "string",
    "test_clips": "Int64",
    "n": "Int64",
    "accuracy": "Float64",
    "accuracy_low": "Float64",
    "accuracy_high": "Float64",
    "interval_method": "string",
    "macro_f1": "Float64",
    "unmapped": "Int64",
    "timed_calls": "Int64",
    "latency_p50_ms": "Float64",
    "latency_p50_low_ms": "Float64",
    "latency_p50_high_ms": "Float64",
    "latency_p95_ms": "Float64",
    "latency_p95_low_ms": "Float64",
    "latency_p95_high_ms": "Float64",
    "latency_p99_ms": "Float64",
    "latency_p99_low_ms": "Float64",
    "latency_p99_high_ms": "Float64",
    "cpu_p50_ms": "Float64",
    "real_time_factor": "Float64",
    "reference_backend": "string",
    "latency_ratio": "Float64",
    "latency_ratio_low": "Float64",
    "latency_ratio_high": "Float64",
    "load_seconds": "Float64",
    "first_call_ms": "Float64",
    "parameters": "Int64",
    "checkpoint_bytes": "Int64",
    "peak_rss_bytes": "Int64",
    "zero_shot": "boolean",
    "flags": "string",
    "checkpoint": "string",
    "reason": "string",
    "fix": "string",
}
#: Columns that are the same for every backend of a run.
RUN_COLUMNS = ("protocol", "fold", "dataset", "fingerprint", "test_clips")


@dataclass(frozen=True)
class Summary:
    """What the records of a run come to.

    Attributes:
        run: The content of ``run.json``.
        frame: One row per backend with the columns ``COLUMNS``.
        scores: Backend -> scores, for backends that answered every clip.
    """

    run: Record
    frame: pd.DataFrame
    scores: dict[str, Scores]


def summarise(run: Record, predictions: Sequence[Record], latencies: Sequence[Record]) -> Summary:
    """Scores the records and puts every figure of a backend into one row.

    A figure is present only if the records it needs are complete; the row's status and reason, or
    the tables' footnotes, say why one is missing.
    """
    answers = defaultdict(list)
    for record in predictions:
        if record["status"] == "ok":
            answers[record["backend"]].append(read_answer(record))
    new_speakers = run["protocol"] != "official"
    scores = {
        name: score(group, speakers_are_the_unit=new_speakers)
        for name, group in answers.items()
        if len(group) == run["measured_clips"]
    }
    timings = collect_timings(latencies)
    reference = next((row["backend"] for row in run["backends"] if row["backend"] in timings), None)
    rows = []
    for outcome in run["backends"]:
        name = outcome["backend"]
        row = {column: outcome.get(column) for column in COLUMNS}
        row |= {
            column: run[column] for column in ("protocol", "fold", "dataset", "fingerprint", "test_clips")
        }
        row |= {"seed": run["settings"]["seed"], "flags": ", ".join(_flags(run, outcome))}
        row |= {"n": len(answers[name]) or None, "reference_backend": reference}
        row |= _accuracy_cells(scores.get(name))
        row |= _latency_cells(timings.get(name), timings.get(reference or ""))
        rows.append(row)
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    return Summary(run, frame, scores)


def _flags(run: Mapping[str, Any], outcome: Mapping[str, Any]) -> list[str]:
    flags = []
    if outcome["leaked_clips"]:
        flags.append(f"LEAK of {outcome['leaked_clips']} clips")
    if outcome["fixture"]:
        flags.append("FIXTURE")
    elif outcome["zero_shot"]:
        flags.append("zero-shot")
    elif outcome["zero_shot"] is False and outcome["leaked_clips"] is None:
        flags.append("no split card")
    elif outcome["trained_on"] not in (None, run["dataset"]):
        flags.append(f"trained on {outcome['trained_on']}")
    if run["measured_clips"] < run["test_clips"]:
        flags.append("subset")
    return flags


def _accuracy_cells(scores: Scores | None) -> dict[str, Any]:
    if scores is None:
        return {}
    return {
        "accuracy": scores.accuracy,
        "accuracy_low": scores.interval.low,
        "accuracy_high": scores.interval.high,
        "interval_method": scores.interval.method,
        "macro_f1": scores.macro_f1,
        "unmapped": scores.unmapped,
    }


def _latency_cells(timings: Timings | None, reference: Timings | None) -> dict[str, Any]:
    if timings is None:
        return {}
    cells: dict[str, Any] = {
        "timed_calls": len(timings.latencies_ms),
        "cpu_p50_ms": timings.cpu_ms,
        "real_time_factor": timings.real_time_factor,
    }
    for quantile, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        interval = quantile_interval(timings.latencies_ms, quantile)
        if interval is not None:
            cells[f"latency_{name}_ms"] = float(np.quantile(timings.latencies_ms, quantile))
            cells[f"latency_{name}_low_ms"] = interval.low
            cells[f"latency_{name}_high_ms"] = interval.high
    if reference is not None:
        log_ratios = timings.log_ratios(reference)
        interval = quantile_interval(log_ratios, 0.5)
        if interval is not None:
            cells["latency_ratio"] = math.exp(float(np.median(log_ratios)))
            cells["latency_ratio_low"] = math.exp(interval.low)
            cells["latency_ratio_high"] = math.exp(interval.high)
    return cells
