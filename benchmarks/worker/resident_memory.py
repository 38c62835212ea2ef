"""Resident memory as the kernel counts it: the peak, its reset, and the children."""

from pathlib import Path

#: Writing it to ``clear_refs`` sets the peak back to the present value (proc(5), since Linux 4.0).
RESET_PEAK = "5"


def resident_bytes() -> dict[str, int | None]:
    """``peak_rss_bytes`` and ``rss_bytes`` of this process and its children; None off Linux.

    ``VmHWM`` (proc(5)) belongs to the address space and starts anew with a program, unlike the
    ``ru_maxrss`` of getrusage(2), which a child inherits from a large parent.
    """
    processes = ["self", *_children("self")]
    return {
        "peak_rss_bytes": _sum_of("VmHWM", processes),
        "rss_bytes": _sum_of("VmRSS", processes),
    }


def reset_peak() -> bool:
    """Sets the peak of this process back to its present size; False where the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def _sum_of(field: str, processes: list[str]) -> int | None:
    values = [_status_bytes(process, field) for process in processes]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _status_bytes(process: str, field: str) -> int | None:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    values = [line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")]
    return int(values[0]) * 1024 if values else None


def _children(process: str) -> list[str]:
    """Ids of all processes below one, in any depth."""
    found: list[str] = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            for child in tasks.read_text().split():
                found += [child, *_children(child)]
        except OSError:  # It has ended meanwhile.
            continue
    return found
