"""Intervals against published and simulated values."""

import numpy as np
import pytest

from benchmarks.reports.uncertainty import (
    bootstrap_over_speakers,
    least_samples,
    quantile_interval,
    ratio_interval,
    share_on_new_voices,
)


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


def test_the_bootstrap_over_speakers_agrees_with_the_analytic_error() -> None:
    generator = np.random.default_rng(0)
    rates = generator.uniform(0.6, 1.0, 60)
    values = (generator.random((60, 50)) < rates[:, np.newaxis]).astype(float)
    speakers = np.repeat([f"s{number:02d}" for number in range(60)], 50).tolist()
    interval = bootstrap_over_speakers(values.ravel(), speakers)
    error = values.mean(axis=1).std(ddof=1) / np.sqrt(60)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


@pytest.mark.parametrize(
    ("num_speakers", "right", "method"),
    [
        (1, [True, False], "Wilson"),
        (3, [True, True], "Clopper-Pearson"),
        (3, [True, False, True], "t over speakers"),
        (20, [True, False, True], "bootstrap over speakers"),
    ],
)
def test_the_number_of_speakers_chooses_the_interval(
    num_speakers: int, right: list[bool], method: str
) -> None:
    speakers = [f"s{place % num_speakers}" for place in range(2 * num_speakers)]
    values = [right[place % len(right)] if place % 5 else True for place in range(len(speakers))]
    share, interval = share_on_new_voices(values, speakers)
    assert interval.method == method
    assert interval.low <= share <= interval.high
