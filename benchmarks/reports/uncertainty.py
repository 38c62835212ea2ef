"""Intervals of latencies and the smallest samples that carry a figure: pure functions.

Tests of pairs are in ``pairs``, intervals of accuracies in ``finetune.intervals``.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from finetune.intervals import CONFIDENCE, Interval

BOOTSTRAP_REPLICATES = 2000


def quantile_interval(values: Sequence[float], quantile: float) -> Interval | None:
    """Distribution-free interval of a quantile from two order statistics.

    (H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, 2003, section 7.1.)

    Args:
        values: Independent measurements.
        quantile: Between 0 and 1.

    Returns:
        The interval, or None if there are fewer than ``least_samples`` measurements.
    """
    ordered = sorted(values)
    if len(ordered) < least_samples(quantile):
        return None
    tail = (1 - CONFIDENCE) / 2
    # Number of values below the quantile: binomial. The bounds cut off one tail each.
    low = int(stats.binom.ppf(tail, len(ordered), quantile))
    high = int(stats.binom.ppf(1 - tail, len(ordered), quantile))
    return Interval(float(ordered[low - 1]), float(ordered[high]), "order statistics")


def least_samples(quantile: float) -> int:
    """Fewest measurements with finite limits on both sides of a quantile: 6, 72, 368 for p50, p95, p99.

    All of them lie below the quantile with probability ``quantile ** n``, which must not exceed
    half of the error allowed (S. S. Wilks, Ann. Math. Stat. 12, 1941, 91-96); the lower end mirrors it.
    """
    extreme = max(quantile, 1 - quantile)
    return math.ceil(math.log((1 - CONFIDENCE) / 2) / math.log(extreme))


def ratio_interval(log_ratios: Sequence[float], block: int = 10) -> Interval | None:
    """Interval of a ratio, the exponential of the median of its logarithms, by a moving block bootstrap.

    Rounds that follow each other meet the same disturbance, so that blocks of them are drawn and not
    single rounds (H. R. Kuensch, Ann. Stat. 17, 1989, 1217-1241). The seed is fixed: the same records
    give the same interval.

    Args:
        log_ratios: One per round, in the order of the rounds.
        block: Rounds per block.

    Returns:
        The interval on the scale of the ratio; None with fewer than ``least_samples(0.5)`` rounds.
    """
    values = np.asarray(log_ratios, dtype=float)
    if values.size < least_samples(0.5):
        return None
    length = min(block, max(values.size // 3, 1))
    starts = np.random.default_rng(0).integers(
        values.size - length + 1, size=(BOOTSTRAP_REPLICATES, math.ceil(values.size / length))
    )
    drawn = values[(starts[..., np.newaxis] + np.arange(length)).reshape(BOOTSTRAP_REPLICATES, -1)]
    medians = np.median(drawn[:, : values.size], axis=1)
    # So few blocks are drawn from that percentiles are too narrow: t with as many degrees, less one.
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size // length - 1))
    middle, width = float(np.median(values)), quantile * float(medians.std(ddof=1))
    return Interval(math.exp(middle - width), math.exp(middle + width), "block bootstrap")
