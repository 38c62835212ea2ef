"""Intervals over speakers and of latencies, tests of pairs, and the smallest samples that carry a figure.

Pure functions. Clips of one voice succeed and fail together, so that the question "which is better on a new
voice?" is answered over speakers. McNemar's test over clips speaks of the voices of the test alone.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from finetune.intervals import CONFIDENCE, Interval, exact_interval, speaker_interval, wilson_interval

BOOTSTRAP_REPLICATES = 2000
#: Rounds that are drawn together, at most.
MAX_BLOCK_ROUNDS = 10
#: Chance at which a test finds a difference that is called detectable.
POWER = 0.8
#: From so many speakers on a bootstrap over them covers what it should; below, it is too narrow.
LEAST_BOOTSTRAP_SPEAKERS = 20


def share_on_new_voices(right: Sequence[bool], speakers: Sequence[str]) -> tuple[float, Interval]:
    """A share of right answers, with its interval for further voices: the speaker is the unit.

    From ``LEAST_BOOTSTRAP_SPEAKERS`` speakers on it is the share of clips, with a bootstrap over speakers;
    of fewer the mean over speakers with Student's t. A single voice has an interval over its clips.

    Args:
        right: One per clip, at least one.
    """
    values, (names, owners) = np.asarray(right, dtype=float), np.unique(speakers, return_inverse=True)
    correct, total = int(values.sum()), values.size
    if names.size < 2:
        return correct / total, wilson_interval(correct, total)
    means = np.bincount(owners, weights=values) / np.bincount(owners)
    # Speakers that do not differ at all give no estimate of how much speakers differ.
    if float(np.ptp(means)) < 1e-12:
        return float(means.mean()), exact_interval(correct, total)
    if names.size < LEAST_BOOTSTRAP_SPEAKERS:
        return float(means.mean()), speaker_interval(means.tolist())
    return correct / total, bootstrap_over_speakers(values, speakers)


def bootstrap_over_speakers(values: Sequence[float] | np.ndarray, speakers: Sequence[str]) -> Interval:
    """Percentile interval of a mean over clips when speakers are drawn with all their clips.

    (A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.) The seed
    is fixed: the same records give the same interval.

    Args:
        values: One per clip.
        speakers: Who spoke it; ``LEAST_BOOTSTRAP_SPEAKERS`` or more.
    """
    names, owners = np.unique(speakers, return_inverse=True)
    sums, counts = np.bincount(owners, weights=np.asarray(values, dtype=float)), np.bincount(owners)
    drawn = np.random.default_rng(0).integers(names.size, size=(BOOTSTRAP_REPLICATES, names.size))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), "bootstrap over speakers")


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


def ratio_interval(log_ratios: Sequence[float]) -> Interval | None:
    """Interval of a ratio, the exponential of the median of its logarithms, by a moving block bootstrap.

    Rounds that follow each other meet the same disturbance, so that blocks of them are drawn and not
    single rounds (H. R. Kuensch, Ann. Stat. 17, 1989, 1217-1241). The seed is fixed: the same records
    give the same interval.

    Args:
        log_ratios: One per round, in the order of the rounds.

    Returns:
        The interval on the scale of the ratio; None with fewer than ``least_samples(0.5)`` rounds.
    """
    values = np.asarray(log_ratios, dtype=float)
    if values.size < least_samples(0.5):
        return None
    length = min(MAX_BLOCK_ROUNDS, max(values.size // 3, 1))
    starts = np.random.default_rng(0).integers(
        values.size - length + 1, size=(BOOTSTRAP_REPLICATES, math.ceil(values.size / length))
    )
    drawn = values[(starts[..., np.newaxis] + np.arange(length)).reshape(BOOTSTRAP_REPLICATES, -1)]
    medians = np.median(drawn[:, : values.size], axis=1)
    # So few blocks are drawn from that percentiles are too narrow: t with as many degrees, less one.
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, values.size // length - 1))
    middle, width = float(np.median(values)), quantile * float(medians.std(ddof=1))
    return Interval(math.exp(middle - width), math.exp(middle + width), "block bootstrap")


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


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (S. Holm, Scand. J. Stat. 6, 1979, 65-70), in the given order."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min((len(p_values) - rank) * p_values[place], 1.0))
        adjusted[place] = largest
    return adjusted


def mcnemar_p(only_first: int, only_second: int) -> float:
    """McNemar's exact test on the clips that one of two backends got right."""
    total = only_first + only_second
    return float(stats.binomtest(only_first, total).pvalue) if total else 1.0


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


def detectable_difference(spread: float, num_speakers: int) -> float:
    """The true difference that the paired t test would find with probability ``POWER``.

    From the noncentral t distribution (J. Cohen, Statistical Power Analysis, 2nd edition, 1988, ch. 2).

    Args:
        spread: Standard deviation of the differences over speakers, in their unit.
        num_speakers: At least 2.
    """
    freedom = num_speakers - 1
    critical = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)

    def shortfall(noncentrality: float) -> float:
        # A rejection on the wrong side finds nothing.
        return float(stats.nct.sf(critical, freedom, noncentrality)) - POWER

    return float(optimize.brentq(shortfall, 0.0, 3.0 * critical)) * spread / math.sqrt(num_speakers)
