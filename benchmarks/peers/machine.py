"""What this machine can do at most: bytes read and multiply-accumulates per second, both measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

#: Far more than any cache holds.
READ_BYTES = 512 * 2**20
MATRIX_ROWS = 2048
TRIALS = 5


@dataclass(frozen=True)
class MachineLimits:
    """The best of ``TRIALS`` trials each, with the threads of the measurement.

    Attributes:
        bytes_per_s: Reading memory once: the dot product of an array of ``READ_BYTES`` with itself.
        multiply_accumulates_per_s: A product of float32 matrices of ``MATRIX_ROWS`` rows and columns.
    """

    bytes_per_s: float
    multiply_accumulates_per_s: float

    def least_ms(self, num_bytes: float, multiply_accumulates: float) -> float:
        """No faster than memory delivers, nor than the processor multiplies, in milliseconds."""
        return 1e3 * max(num_bytes / self.bytes_per_s, multiply_accumulates / self.multiply_accumulates_per_s)


def measure_limits(threads: int) -> MachineLimits:
    """Measures the machine; takes some seconds."""
    with threadpool_limits(threads):
        array = np.ones(READ_BYTES // 4, dtype=np.float32)
        read_s = _best_seconds(lambda: np.dot(array, array))
        matrix = np.ones((MATRIX_ROWS, MATRIX_ROWS), dtype=np.float32)
        multiply_s = _best_seconds(lambda: matrix @ matrix)
    return MachineLimits(READ_BYTES / read_s, MATRIX_ROWS**3 / multiply_s)


def _best_seconds(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(TRIALS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
