"""Timings, sizes and memory: percentiles with intervals, ratios, stages, cold starts, footprints."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.records.checked import to_json
from benchmarks.records.measurements import ColdStart, Footprint, TimedCall
from benchmarks.records.run_record import RunRecord
from benchmarks.reports.table import (
    Column,
    Table,
    backend_rows,
    digits,
    megabytes,
    millions,
    percent,
    table_of,
    text_columns,
    whole,
)
from benchmarks.reports.uncertainty import least_samples, quantile_interval, ratio_interval
from inference.stage_timer import STAGES

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
#: Above this share of disturbed calls the absolute times say little; ratios stay.
UNRELIABLE_SHARE = 0.5
PASSED_ON_NOTE = (
    "Passed on: clips of the accuracy phase for which the second model was asked, too. The timed clips are "
    "drawn from the same, so that the mean is what a clip costs; p50 and p95 are of one model or of both."
)
#: What no stage names.
REST = "other"


def timing_frame(records: Sequence[TimedCall]) -> pd.DataFrame:
    """All timed calls, one row each, times in milliseconds."""
    columns = ["backend", "round", "duration_s", "contended", "stages_agree"]
    rows = [
        {
            **{name: getattr(record, name) for name in columns},
            **{f"{name}_ms": value / 1e6 for name, value in record.t_ns.items()},
        }
        for record in records
    ]
    return pd.DataFrame(rows, columns=None if rows else [*columns, "e2e_ms", "cpu_ms"])


def latency_row(calls: pd.DataFrame) -> dict[str, Any]:
    """Percentiles of the calls of one backend; those that too few calls carry are missing."""
    row: dict[str, Any] = {"calls": len(calls)}
    if calls.empty:
        return row
    values = calls["e2e_ms"].tolist()
    row |= {
        "min_ms": min(values),
        "mean_ms": float(np.mean(values)),
        "cpu_ms": float(calls["cpu_ms"].median()),
        "real_time_factor": float(calls["e2e_ms"].sum() / 1e3 / calls["duration_s"].sum()),
        "contended": float(calls["contended"].mean()),
    }
    for name, quantile in QUANTILES.items():
        interval = quantile_interval(values, quantile)
        if interval is not None:
            row[f"{name}_ms"] = float(np.quantile(values, quantile))
            row[f"{name}_ms_low"], row[f"{name}_ms_high"] = interval.low, interval.high
    quiet = calls.loc[~calls["contended"], "e2e_ms"]
    row["quiet_p50_ms"] = float(quiet.median()) if len(quiet) >= least_samples(0.5) else None
    return row


def ratio_row(calls: pd.DataFrame, reference: pd.DataFrame) -> dict[str, Any]:
    """How many times as long as the reference in the same rounds, with its interval."""
    both = calls.set_index("round")["e2e_ms"], reference.set_index("round")["e2e_ms"]
    common = both[0].index.intersection(both[1].index).sort_values()
    log_ratios = np.log(both[0][common].to_numpy(dtype=float) / both[1][common].to_numpy(dtype=float))
    interval = ratio_interval(log_ratios.tolist())
    if interval is None:
        return {}
    ratio = math.exp(float(np.median(log_ratios)))
    return {"ratio": ratio, "ratio_low": interval.low, "ratio_high": interval.high}


def latency_table(
    run: RunRecord, timings: pd.DataFrame, reasons: Mapping[str, str], passed_on: Mapping[str, float]
) -> Table:
    """One row per backend.

    Args:
        reasons: Backend -> why it was not measured whole.
        passed_on: Backend that asks a second model in doubt -> share of clips for which it did.
    """

    def cells(name: str) -> dict[str, Any]:
        return {"passed_on": passed_on.get(name), **latency_row(timings[timings["backend"] == name])}

    passed_column = Column(
        "passed_on", "passed on %", percent, missing="asks the same models about every clip"
    )
    threads = run.settings.threads
    return table_of(
        "latency",
        "Latency",
        [
            *text_columns("backend"),
            Column("calls", "calls", whole),
            Column("min_ms", "min ms", digits),
            *(Column(f"{name}_ms", f"{name} ms", digits, missing=needs_calls(name)) for name in QUANTILES),
            Column("mean_ms", "mean ms", digits),
            Column("cpu_ms", "CPU ms", digits),
            Column("real_time_factor", "real-time factor", digits),
            Column("contended", "contended %", percent),
            Column("quiet_p50_ms", "p50 ms, others quiet", digits, missing="too few calls were undisturbed"),
            *([passed_column] if passed_on else []),
        ],
        backend_rows(run, reasons, cells),
        [
            f"Milliseconds from a waveform in memory to the answer, one clip a call, {threads} thread(s), "
            "interleaved rounds; nothing is trimmed. Intervals are 95 % by order statistics.",
            "Contended: other work took the processor during the call. Above "
            f"{100 * UNRELIABLE_SHARE:.0f} % the milliseconds are unreliable; ratios stay.",
            *([PASSED_ON_NOTE] if passed_on else []),
        ],
    )


def needs_calls(name: str) -> str:
    """Why a percentile is missing."""
    return f"{name} needs {least_samples(QUANTILES[name])} timed calls (--rounds)"


def stage_table(run: RunRecord, timings: pd.DataFrame) -> Table:
    """Mean milliseconds per stage; the parts and what no stage names sum to the whole."""
    rows = []
    for entry in run.backends:
        calls = timings[timings["backend"] == entry.backend]
        named = {name: f"{name}_ms" for name in STAGES if f"{name}_ms" in calls}
        parts = {
            name: float(calls[key].fillna(0.0).mean()) for name, key in named.items() if calls[key].any()
        }
        if not parts:
            continue
        total = float(calls["e2e_ms"].mean())
        rows.append(
            {
                "backend": entry.backend,
                **parts,
                REST: total - sum(parts.values()),
                "total": total,
                "agree": float((calls["stages_agree"] != False).mean()),  # noqa: E712 - None counts, too
            }
        )
    return table_of(
        "stages",
        "Where the time goes",
        [
            *text_columns("backend"),
            *(
                Column(name, f"{name} ms", digits_or_less, missing="the backend does not name this stage")
                for name in (*STAGES, REST)
            ),
            Column("total", "mean ms", digits),
            Column("agree", "calls whose stages sum to the whole %", percent),
        ],
        rows,
    )


COLD_PARTS = ("interpreter", "imports", "load", "first_prediction", "total")


def cold_row(records: Sequence[ColdStart], backend: str) -> dict[str, Any]:
    """Medians over the cold starts of a backend, with the extremes of the total."""
    starts = [record.seconds for record in records if record.backend == backend]
    if not starts:
        return {"starts": 0}
    parts = {f"{name}_s": float(np.median([getattr(start, name) for start in starts])) for name in COLD_PARTS}
    totals = [start.total for start in starts]
    return {"starts": len(starts), **parts, "total_s_low": min(totals), "total_s_high": max(totals)}


def cold_table(run: RunRecord, records: Sequence[ColdStart], reasons: dict[str, str]) -> Table:
    """Fresh processes, from nothing to the first answer."""
    return table_of(
        "cold",
        "Cold start",
        [
            *text_columns("backend"),
            Column("starts", "starts", whole),
            *(Column(f"{name}_s", f"{name.replace('_', ' ')} s", digits) for name in COLD_PARTS),
        ],
        backend_rows(run, reasons, lambda name: cold_row(records, name)),
        ["Medians over fresh processes, files in the page cache; brackets: fastest and slowest start."],
    )


def digits_or_less(value: float) -> str:
    """Like ``digits``, for differences that may be nothing or slightly negative."""
    return "0" if abs(value) < 5e-4 else digits(value)


SECONDS = ("0.42", "1")
MOMENTS = ("start", "imports", "load", "first_call", "steady")
NO_MACS = "the backend does not count its multiply-accumulates"


def size_row(record: Footprint) -> dict[str, Any]:
    """The sizes of one backend."""
    counts = record.multiply_accumulates or {}
    return {
        **{
            key: getattr(record, key)
            for key in ("parameters", "opened_bytes", "checkpoint_bytes", "runtime_bytes")
        },
        "opened_files": None if record.opened_files is None else len(record.opened_files),
        "runtime_packages": None if record.runtime_packages is None else len(record.runtime_packages),
        "macs_short": counts.get(SECONDS[0]),
        "macs_second": counts.get(SECONDS[1]),
    }


def size_table(run: RunRecord, records: Sequence[Footprint], reasons: dict[str, str]) -> Table:
    """Files, packages, parameters and work."""
    by_name = {record.backend: record for record in records}
    return table_of(
        "size",
        "Size",
        [
            *text_columns("backend"),
            Column("parameters", "M parameters", millions, missing="the backend cannot count its parameters"),
            Column("opened_bytes", "model MB", megabytes),
            Column("opened_files", "files", whole),
            Column("checkpoint_bytes", "declared MB", megabytes),
            Column("runtime_bytes", "packages MB", megabytes),
            Column("runtime_packages", "packages", whole),
            Column("macs_short", f"M multiply-adds at {SECONDS[0]} s", millions, missing=NO_MACS),
            Column("macs_second", f"M multiply-adds at {SECONDS[1]} s", millions, missing=NO_MACS),
        ],
        backend_rows(run, reasons, lambda name: size_row(by_name[name]) if name in by_name else {}),
        [
            "Model: files of the checkpoint that were opened. Declared: files of it that must be shipped. "
            "Packages: the installed distributions behind the modules that the backend imported, all files."
        ],
    )


def memory_table(run: RunRecord, records: Sequence[Footprint], reasons: dict[str, str]) -> Table:
    """Resident memory by phase."""
    by_name = {record.backend: record for record in records}

    def cells(name: str) -> dict[str, Any]:
        if name not in by_name:
            return {}
        row: dict[str, Any] = {"peak_rss_bytes": by_name[name].peak_rss_bytes}
        memory = by_name[name].memory
        if memory is not None:
            row["method"] = memory.method
            for moment in MOMENTS:
                row |= {f"{moment}_{key}": value for key, value in to_json(getattr(memory, moment)).items()}
        return row

    return table_of(
        "memory",
        "Memory",
        [
            *text_columns("backend"),
            *(
                Column(f"{moment}_peak_rss_bytes", f"peak in {moment.replace('_', ' ')} MB", megabytes)
                for moment in MOMENTS
            ),
            Column("steady_rss_bytes", "resident at last MB", megabytes),
            Column("peak_rss_bytes", "peak in all MB", megabytes),
            Column("method", "method", numeric=False),
        ],
        backend_rows(run, reasons, cells),
        ["Peak resident memory by the kernel's own mark, in a process apart, children included."],
    )
