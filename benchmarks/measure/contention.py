"""Whether other work took the processor away while something was timed."""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records.measurements import Contention

#: Share of the time in which tasks waited for a processor, above which a timing is called contended.
MAX_WAITING_SHARE = 0.2
_MS_PER_TICK = 10


@dataclass(frozen=True)
class Counters:
    """Counters of the whole machine at one moment; None where the system hides them.

    Attributes:
        at_us: When they were read, on a clock of microseconds.
        waiting_us: Time in which some task waited for a processor (``/proc/pressure/cpu``).
        steal_ms: Time that a hypervisor gave to other guests (``/proc/stat``).
    """

    at_us: int
    waiting_us: int | None
    steal_ms: int | None

    @classmethod
    def now(cls) -> "Counters":
        """Reads the counters."""
        return cls(time.perf_counter_ns() // 1000, waiting_us(), steal_ms())

    def since(self, earlier: "Counters") -> Contention:
        """What was lost since an earlier reading, as in ``latency.jsonl``."""
        return Contention(
            psi_us=_difference(self.waiting_us, earlier.waiting_us),
            steal_ms=_difference(self.steal_ms, earlier.steal_ms),
            wall_us=self.at_us - earlier.at_us,
        )


def is_contended(lost: Contention) -> bool:
    """Whether a visit with that loss is no measurement of the backend alone."""
    return bool(lost.steal_ms) or (lost.psi_us or 0) > MAX_WAITING_SHARE * (lost.wall_us or 0)


def waiting_us() -> int | None:
    """Microseconds since the start in which some task waited for a processor; None without PSI."""
    try:
        some = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    return int(some.rpartition("total=")[2])


def steal_ms() -> int | None:
    """Milliseconds since the start that a hypervisor gave to other guests; None off Linux."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()
        return int(fields[8]) * _MS_PER_TICK  # proc(5): user nice system idle iowait irq softirq steal
    except (OSError, IndexError, ValueError):
        return None


def _difference(late: int | None, early: int | None) -> int | None:
    return None if late is None or early is None else late - early
