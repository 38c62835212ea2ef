"""Intervals against published and simulated values."""

import numpy as np
import pytest

from benchmarks.uncertainty import (
    exact_interval,
    least_samples,
    quantile_interval,
    ratio_interval,
    speaker_interval,
    wilson_interval,
)


def test_wilson_of_297_in_300() -> None:
    low, high, method = wilson_interval(297, 300)
    assert (round(low, 3), round(high, 3), method) == (0.971, 0.997, "Wilson")


def test_exact_interval_of_all_right_is_one_sided_above() -> None:
    low, high, _ = exact_interval(300, 300)
    # Closed form for n of n: (alpha / 2) ** (1 / n).
    assert low == pytest.approx(0.025 ** (1 / 300))
    assert high == 1.0


def test_speaker_interval_by_hand() -> None:
    # Mean 0.7, sd 0.1, n 3, t(0.975, 2) = 4.302653: half width 4.302653 * 0.1 / sqrt(3).
    low, high, _ = speaker_interval([0.6, 0.7, 0.8])
    assert (low, high) == pytest.approx((0.7 - 0.248414, 0.7 + 0.248414), abs=1e-5)


def test_speaker_interval_covers_new_voices_where_wilson_does_not() -> None:
    generator = np.random.default_rng(0)
    truth, trials, clips = 0.87, 500, 500
    covered = {"speakers": 0, "clips": 0}
    for _ in range(trials):
        rates = np.clip(generator.normal(truth, 0.06, size=6), 0, 1)
        hits = generator.binomial(clips, rates)
        low, high, _ = speaker_interval(list(hits / clips))
        covered["speakers"] += low <= truth <= high
        low, high, _ = wilson_interval(int(hits.sum()), 6 * clips)
        covered["clips"] += low <= truth <= high
    assert covered["speakers"] / trials == pytest.approx(0.95, abs=0.03)
    assert covered["clips"] / trials < 0.6


def test_interval_stays_in_the_unit_range() -> None:
    low, high, _ = speaker_interval([0.5, 1.0])
    assert (low, high) == (0.0, 1.0)


def test_least_samples_of_the_usual_percentiles() -> None:
    assert [least_samples(quantile) for quantile in (0.5, 0.9, 0.95, 0.99)] == [6, 36, 72, 368]


def test_quantile_interval_is_refused_below_its_least_sample() -> None:
    assert quantile_interval([1.0] * 71, 0.95) is None
    assert quantile_interval([1.0] * 72, 0.95) is not None


def test_median_interval_of_twenty_by_table() -> None:
    # Sign-test table: ranks 6 and 15 of 20.
    low, high, _ = quantile_interval([float(value) for value in range(1, 21)], 0.5) or (0, 0, "")
    assert (low, high) == (6.0, 15.0)


@pytest.mark.parametrize(("quantile", "size"), [(0.5, 25), (0.95, 100)])
def test_quantile_interval_covers_the_quantile(quantile: float, size: int) -> None:
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(1000):
        interval = quantile_interval(list(generator.random(size)), quantile)
        assert interval is not None
        hits += interval.low <= quantile <= interval.high
    assert 0.94 <= hits / 1000 <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "spread"), [(0.87, 0.06), (0.8, 0.1), (0.9, 0.02)])
def test_speaker_interval_keeps_its_rate_over_many_corpora(mean: float, spread: float) -> None:
    generator = np.random.default_rng(2)
    covered, trials = 0, 10_000
    for _ in range(trials):
        rates = np.clip(generator.normal(mean, spread, size=6), 0, 1)
        low, high, _ = speaker_interval(list(generator.binomial(500, rates) / 500))
        covered += low <= mean <= high
    assert covered / trials == pytest.approx(0.95, abs=0.03)


def disturbed_log_ratios(generator: np.random.Generator, rounds: int) -> np.ndarray:
    """Logarithms of a true ratio of 1.25 in rounds whose disturbance lasts."""
    noise = generator.normal(0, 0.05, size=rounds + 4)
    lasting = np.convolve(noise, np.ones(5) / 5**0.5, mode="valid")
    return np.log(1.25) + lasting


def test_ratio_interval_is_the_same_for_the_same_rounds_and_needs_enough() -> None:
    values = disturbed_log_ratios(np.random.default_rng(5), 72).tolist()
    assert ratio_interval(values) == ratio_interval(values)
    assert ratio_interval(values[:5]) is None
    low, high, _ = ratio_interval(values) or (0, 0, "")
    assert low < float(np.exp(np.median(values))) < high


def ratio_coverage(trials: int) -> float:
    generator = np.random.default_rng(6)
    hits = 0
    for _ in range(trials):
        interval = ratio_interval(disturbed_log_ratios(generator, 120).tolist())
        assert interval is not None
        hits += interval.low <= 1.25 <= interval.high
    return hits / trials


def test_ratio_interval_covers_the_ratio_although_rounds_depend_on_each_other() -> None:
    assert ratio_coverage(100) >= 0.82


@pytest.mark.slow
def test_ratio_interval_keeps_its_rate() -> None:
    assert 0.88 <= ratio_coverage(1000) <= 0.98
