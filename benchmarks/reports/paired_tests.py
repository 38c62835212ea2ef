"""Whether two backends differ, and how large a difference this many speakers could show: pure functions.

Clips of one voice succeed and fail together, so that the question "which is better on a new voice?"
is answered over speakers. McNemar's test over clips speaks of the voices of the test alone.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from finetune.intervals import CONFIDENCE, Interval

#: Discordant clips from which the chi-squared family is near enough (A. Agresti, Categorical Data
#: Analysis, 3rd edition, 2013, section 11.1); mid-p from there, exact below.
MID_P_FROM = 25


class PairedT(NamedTuple):
    """Mean difference over speakers with its interval, and the p-value of no difference."""

    mean: float
    interval: Interval
    p_value: float


def paired_t(differences: Sequence[float]) -> PairedT | None:
    """Student's paired t test over speakers.

    Args:
        differences: Accuracy of one backend minus that of the other, one per speaker.

    Returns:
        The test; None for a single speaker, or where all differences are equal and give no estimate
        of their spread.
    """
    if len(differences) < 2 or np.ptp(differences) < 1e-12:
        return None
    result = stats.ttest_1samp(differences, 0.0)
    low, high = result.confidence_interval(CONFIDENCE)
    return PairedT(
        float(np.mean(differences)),
        Interval(max(float(low), -1.0), min(float(high), 1.0), "paired t over speakers"),
        float(result.pvalue),
    )


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided exact sign-flip test: the share of sign patterns with a mean at least as far from 0.

    (R. A. Fisher, The Design of Experiments, 1935, section 21.) All ``2 ** n`` patterns are counted up
    to 16 speakers, 65,536 drawn ones beyond.
    """
    values = np.abs(np.asarray(differences, dtype=float))
    if values.size <= 16:
        patterns = (np.arange(2**values.size)[:, np.newaxis] >> np.arange(values.size)) & 1
    else:
        patterns = np.random.default_rng(0).integers(2, size=(2**16, values.size))
    sums = np.abs((2 * patterns - 1) @ values)
    # Equal sums differ in their last bits.
    return float(np.mean(sums >= abs(math.fsum(differences)) - 1e-12))


def least_sign_flip_p(num_speakers: int) -> float:
    """The smallest p-value that the sign-flip test can give: 2 of ``2 ** n`` patterns, .031 for six."""
    return 2.0 ** (1 - num_speakers)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (S. Holm, Scand. J. Stat. 6, 1979, 65-70), in the given order."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min((len(p_values) - rank) * p_values[place], 1.0))
        adjusted[place] = largest
    return adjusted


def mcnemar(only_first: int, only_second: int) -> tuple[float, str]:
    """McNemar's test on clips that one of two backends got right: the p-value and its method.

    Exact binomial below ``MID_P_FROM`` such clips, mid-p from there (M. W. Fagerland, S. Lydersen and
    P. Laake, BMC Med. Res. Methodol. 13:91, 2013).
    """
    total = only_first + only_second
    if total == 0:
        return 1.0, "exact"
    exact = float(stats.binomtest(only_first, total).pvalue)
    if total < MID_P_FROM:
        return exact, "exact"
    return min(exact - float(stats.binom.pmf(min(only_first, only_second), total, 0.5)), 1.0), "mid-p"


def paired_share_interval(only_first: int, only_second: int, total: int) -> Interval:
    """Interval of the difference of two shares over the same clips: what the choice of clips leaves open.

    (D. G. Bonett and R. M. Price, J. Educ. Behav. Stat. 37, 2012, 479-488.) It speaks of these voices.
    """
    first, second = (only_first + 1) / (total + 2), (only_second + 1) / (total + 2)
    error = math.sqrt((first + second - (first - second) ** 2) / (total + 2))
    width = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * error
    difference = first - second
    return Interval(max(difference - width, -1.0), min(difference + width, 1.0), "over clips, these voices")


def half_width(spread: float, num_speakers: int) -> float:
    """Half width of the t interval for differences with this standard deviation over speakers."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, num_speakers - 1)) * spread / math.sqrt(num_speakers)


def detectable_difference(spread: float, num_speakers: int, power: float = 0.8) -> float:
    """The true difference that the paired t test would find with this power.

    From the noncentral t distribution (J. Cohen, Statistical Power Analysis, 2nd edition, 1988, ch. 2).

    Args:
        spread: Standard deviation of the differences over speakers, in their unit.
        num_speakers: At least 2.
        power: Probability of finding it.
    """
    freedom = num_speakers - 1
    critical = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)

    def shortfall(noncentrality: float) -> float:
        # A rejection on the wrong side finds nothing.
        return float(stats.nct.sf(critical, freedom, noncentrality)) - power

    return float(optimize.brentq(shortfall, 0.0, 3.0 * critical)) * spread / math.sqrt(num_speakers)
