"""Entry point: ``python -m benchmarks.doctor`` says whether this machine can be measured on now."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure.contention import MAX_WAITING_SHARE
from inference.command_line import EXIT_OK, CommandLineParser, reports_user_errors

EXIT_UNFIT = 1
#: Seconds over which processes and pressure are watched.
WATCH_S = 1.0
#: Share of one processor that a neighbour may take.
MAX_NEIGHBOUR_SHARE = 0.2
MIN_FREE_BYTES = 2e9
MAX_CLOCK_STEP_NS = 1000
#: Clock sources whose reading does not leave the processor.
FAST_CLOCKS = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter")
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is well, what was found, and what to do about it."""

    name: str
    good: bool
    found: str
    remedy: str = ""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    return CommandLineParser(
        prog="python -m benchmarks.doctor",
        description="Looks at load, pressure, noisy neighbours, free memory and clock "
        "before a benchmark; takes two seconds and changes nothing.",
        epilog="Exit codes: 0 fit to measure, 1 something to mend.",
    )


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Prints what was found."""
    build_parser().parse_args(argv)
    checks: list[Callable[[], list[Finding]]] = [load, neighbours, memory, clock]
    findings = [finding for check in checks for finding in check()]
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = "ok  " if finding.good else "MEND"
        remedy = "" if finding.good or not finding.remedy else f". {finding.remedy}"
        sys.stdout.write(f"{mark}  {finding.name.ljust(width)}  {finding.found}{remedy}\n")
    return EXIT_OK if all(finding.good for finding in findings) else EXIT_UNFIT


def load() -> list[Finding]:
    """Runnable processes against processors, and time in which tasks waited for one."""
    findings = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if hasattr(os, "getloadavg"):
        average = os.getloadavg()[0]
        findings.append(
            Finding(
                "load",
                average < 0.5 * cores,
                f"{average:.2f} on {cores} processors",
                "Wait, or stop other work",
            )
        )
    pressure = waiting_share()
    if pressure is not None:
        findings.append(
            Finding(
                "pressure",
                pressure <= MAX_WAITING_SHARE,
                f"tasks waited for a processor in {100 * pressure:.0f} % of the time",
                "Timings would be marked contended; ratios stay usable",
            )
        )
    return findings


def waiting_share() -> float | None:
    """Share of the last ten seconds in which a task waited for a processor; None without PSI."""
    try:
        line = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    fields = dict(field.split("=") for field in line.split()[1:])
    return float(fields["avg10"]) / 100


def neighbours() -> list[Finding]:
    """Other processes that take processor time now."""
    import psutil

    processes = [process for process in psutil.process_iter(["name"]) if process.pid != os.getpid()]
    for process in processes:
        _share(process)
    time.sleep(WATCH_S)
    shares = sorted(((_share(process), process) for process in processes), key=lambda item: -item[0])
    noisy = [
        f"{process.info['name']} ({process.pid}) {100 * share:.0f} %"
        for share, process in shares
        if share > MAX_NEIGHBOUR_SHARE
    ]
    found = ", ".join(noisy[:5]) if noisy else "no process takes more than a fifth of a processor"
    return [Finding("neighbours", not noisy, found, "Stop them, or expect contended timings")]


def _share(process: Any) -> float:
    """Share of one processor since the last call for this process; 0 if it is gone."""
    import psutil

    try:
        return float(process.cpu_percent()) / 100
    except psutil.Error:
        return 0.0


def memory() -> list[Finding]:
    """Free memory, and swapping."""
    import psutil

    available, swap = psutil.virtual_memory().available, psutil.swap_memory()
    return [
        Finding(
            "memory",
            available >= MIN_FREE_BYTES,
            f"{available / 1e9:.1f} GB free"
            + (f", {swap.used / 1e9:.1f} GB swapped out" if swap.used else ""),
            "All timed backends stay loaded side by side: measure fewer at once (--backends)",
        )
    ]


def clock() -> list[Finding]:
    """Resolution of the clock that latency is read from."""
    steps = []
    for _ in range(1000):
        start = time.perf_counter_ns()
        while (now := time.perf_counter_ns()) == start:
            pass
        steps.append(now - start)
    step = sorted(steps)[len(steps) // 2]
    source = CLOCK_SOURCE.read_text().strip() if CLOCK_SOURCE.is_file() else None
    good = step <= MAX_CLOCK_STEP_NS and (source is None or source in FAST_CLOCKS)
    found = f"steps of {step} ns" + (f", source {source}" if source else "")
    return [Finding("clock", good, found, "Times below 0.1 ms are coarse here")]


if __name__ == "__main__":
    raise SystemExit(main())
