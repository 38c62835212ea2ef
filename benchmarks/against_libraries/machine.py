"""What this machine can do at most: bytes read and multiply-accumulates per second, both measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

#: Bytes of a number in each arithmetic that a backend may multiply in, ``Backend.arithmetic``.
NUM_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
#: Of the matrices whose product is timed: they fit the caches, and one product is over before another
#: process is due on a shared processor.
MATRIX_ROWS = 512
#: How long a piece of work is repeated; its best time counts.
TRIAL_SECONDS = 0.5


@dataclass(frozen=True)
class MachineLimits:
    """The best rates of this machine, with the threads of the measurement.

    Attributes:
        multiply_accumulates_per_s: By arithmetic, in a product of matrices of ``MATRIX_ROWS`` rows.
    """

    multiply_accumulates_per_s: dict[str, float]

    def least_ms(self, reading_ms: float, multiply_accumulates: float, arithmetic: str) -> tuple[float, str]:
        """No faster than the weights are read, nor than the processor multiplies.

        Returns:
            Milliseconds, and what takes them: "weights" or the arithmetic.
        """
        multiplying_ms = 1e3 * multiply_accumulates / self.multiply_accumulates_per_s[arithmetic]
        return max((reading_ms, "weights"), (multiplying_ms, arithmetic))


def measure_limits(threads: int) -> MachineLimits:
    """Times a product of matrices in each arithmetic."""
    matrix = np.ones((MATRIX_ROWS, MATRIX_ROWS), np.float32)
    brain_floats = torch.ones(MATRIX_ROWS, MATRIX_ROWS, dtype=torch.bfloat16)
    bytes_ = torch.ones(MATRIX_ROWS, MATRIX_ROWS, dtype=torch.int8)
    products: dict[str, Callable[[], object]] = {
        "float32": lambda: matrix @ matrix,
        "bfloat16": lambda: brain_floats @ brain_floats,
        # The one product of 8-bit matrices that a required library has; their sums are of 32 bits.
        "int8": lambda: torch._int_mm(bytes_, bytes_),
    }
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        rates = {name: MATRIX_ROWS**3 / _best_seconds(product) for name, product in products.items()}
    return MachineLimits(rates)


def measure_reading_ms(num_bytes: int, threads: int) -> float:
    """Milliseconds to read that much again and again, from memory or from the cache that holds it."""
    array = np.ones(max(num_bytes // 4, 1), np.float32)
    with threadpool_limits(threads):
        return 1e3 * _best_seconds(lambda: np.dot(array, array))


def _best_seconds(work: Callable[[], object]) -> float:
    work()
    best = float("inf")
    end = time.perf_counter() + TRIAL_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best
