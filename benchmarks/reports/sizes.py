"""Footprint records -> size and memory."""

from collections.abc import Sequence
from typing import Any

from benchmarks.reports.table import REASON, Column, Table, megabytes, millions, table_of, text_columns, whole
from benchmarks.run.records import Record

SECONDS = ("0.42", "1")
MOMENTS = ("start", "imports", "load", "first_call", "steady")
NO_MACS = "the backend does not count its multiply-accumulates"


def size_row(record: Record) -> dict[str, Any]:
    """The sizes of one backend."""
    counts = record["multiply_accumulates"] or {}
    return {
        **{key: record[key] for key in ("parameters", "opened_bytes", "checkpoint_bytes", "runtime_bytes")},
        "opened_files": None if record["opened_files"] is None else len(record["opened_files"]),
        "runtime_packages": None if record["runtime_packages"] is None else len(record["runtime_packages"]),
        "macs_short": counts.get(SECONDS[0]),
        "macs_second": counts.get(SECONDS[1]),
    }


def size_table(run: Record, records: Sequence[Record], reasons: dict[str, str]) -> Table:
    """T6."""
    by_name = {record["backend"]: record for record in records}
    rows = []
    for row in run["backends"]:
        name = row["backend"]
        rows.append({"backend": name, REASON: reasons.get(name)})
        if name in by_name:
            rows[-1] |= size_row(by_name[name])
    return table_of(
        "size",
        "Size",
        [
            *text_columns("backend"),
            Column("parameters", "parameters M", millions, missing="the backend cannot count its parameters"),
            Column("opened_bytes", "files opened MB", megabytes),
            Column("opened_files", "files", whole),
            Column("checkpoint_bytes", "checkpoint MB", megabytes),
            Column("runtime_bytes", "packages MB", megabytes),
            Column("runtime_packages", "packages", whole),
            Column("macs_short", f"M MACs at {SECONDS[0]} s", millions, missing=NO_MACS),
            Column("macs_second", f"M MACs at {SECONDS[1]} s", millions, missing=NO_MACS),
        ],
        rows,
        ["Packages: the installed distributions behind the modules that the backend imported, all files."],
        (REASON,),
    )


def memory_table(run: Record, records: Sequence[Record], reasons: dict[str, str]) -> Table:
    """T7."""
    by_name = {record["backend"]: record for record in records}
    rows = []
    for row in run["backends"]:
        cells: dict[str, Any] = {"backend": row["backend"], REASON: reasons.get(row["backend"])}
        record = by_name.get(row["backend"])
        if record is not None:
            memory = record["memory"] or {}
            cells |= {"peak_rss_bytes": record["peak_rss_bytes"], "method": memory.get("method")}
            for moment in MOMENTS:
                for key, value in (memory.get(moment) or {}).items():
                    cells[f"{moment}_{key}"] = value
        rows.append(cells)
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
        rows,
        ["Peak resident memory by the kernel's own mark, in a process apart, children included."],
        (*(f"{moment}_rss_bytes" for moment in MOMENTS[:-1]), REASON),
    )
