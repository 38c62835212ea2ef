"""Confidence intervals of accuracies: pure functions, for cards, tables and the benchmark.

scipy.stats takes half a second to import, for which commands that only read cards need not wait.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A two-sided confidence interval and how it was made."""

    low: float
    high: float
    method: str


def wilson_interval(successes: int, trials: int) -> Interval:
    """Score interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, 209-212).

    Args:
        successes: Clips recognised.
        trials: Clips asked, at least 1.
    """
    from scipy.stats import binomtest

    low, high = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(low), float(high), "Wilson")


def exact_interval(successes: int, trials: int) -> Interval:
    """Exact interval of a share (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934, 404-413)."""
    from scipy.stats import binomtest

    low, high = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="exact")
    return Interval(float(low), float(high), "Clopper-Pearson")


def speaker_interval(accuracies: Sequence[float]) -> Interval:
    """Student t interval of the mean over speakers, cut to [0, 1].

    The speaker is the unit, because clips of one voice succeed and fail together: with six
    speakers an interval over clips covers the accuracy on new voices far too rarely.

    Args:
        accuracies: One accuracy per speaker, at least two.
    """
    from scipy.stats import t

    mean = float(np.mean(accuracies))
    standard_error = float(np.std(accuracies, ddof=1)) / math.sqrt(len(accuracies))
    half_width = float(t.ppf((1 + CONFIDENCE) / 2, len(accuracies) - 1)) * standard_error
    return Interval(max(mean - half_width, 0.0), min(mean + half_width, 1.0), "t over speakers")
