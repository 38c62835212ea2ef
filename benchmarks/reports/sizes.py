"""Footprint records -> size and memory."""

from collections.abc import Sequence
from typing import Any

from benchmarks.records.checked import to_json
from benchmarks.records.layout import Footprint, RunRecord
from benchmarks.reports.table import REASON, Column, Table, megabytes, millions, table_of, text_columns, whole

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
    rows = []
    for entry in run.backends:
        name = entry.backend
        rows.append({"backend": name, REASON: reasons.get(name)})
        if name in by_name:
            rows[-1] |= size_row(by_name[name])
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
        rows,
        [
            "Model: files of the checkpoint that were opened. Declared: files of it that must be shipped. "
            "Packages: the installed distributions behind the modules that the backend imported, all files."
        ],
        (REASON,),
    )


def memory_table(run: RunRecord, records: Sequence[Footprint], reasons: dict[str, str]) -> Table:
    """Resident memory by phase."""
    by_name = {record.backend: record for record in records}
    rows = []
    for entry in run.backends:
        cells: dict[str, Any] = {"backend": entry.backend, REASON: reasons.get(entry.backend)}
        record = by_name.get(entry.backend)
        if record is not None:
            cells["peak_rss_bytes"] = record.peak_rss_bytes
        if record is not None and record.memory is not None:
            cells["method"] = record.memory.method
            for moment in MOMENTS:
                for key, value in to_json(getattr(record.memory, moment)).items():
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
