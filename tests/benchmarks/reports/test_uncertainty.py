"""Intervals and tests of pairs against published and simulated values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reports.uncertainty import (
    bootstrap_over_speakers,
    detectable_difference,
    half_width,
    holm,
    least_samples,
    mcnemar_p,
    paired_t,
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


# --- pairs ---------------------------------------------------------------------------------------

SPEAKERS = 6
CLIPS = 500


@pytest.mark.parametrize(("discordant", "p_value"), [((3, 0), 0.25), ((5, 0), 0.0625), ((6, 0), 0.03125)])
def test_exact_mcnemar_by_table(discordant: tuple[int, int], p_value: float) -> None:
    assert mcnemar_p(*discordant) == pytest.approx(p_value)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_single_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for single, value in zip(p_values, adjusted, strict=True):
        assert single <= value <= min(1.0, len(p_values) * max(p_values))
    ranked = [value for _, value in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


@pytest.mark.parametrize("num_speakers", [3, 6, 20])
def test_the_detectable_difference_is_found_four_times_in_five(num_speakers: int) -> None:
    difference = detectable_difference(0.03, num_speakers)
    drawn = np.random.default_rng(4).normal(difference, 0.03, size=(20_000, num_speakers))
    means, widths = drawn.mean(axis=1), half_width(1.0, num_speakers) * drawn.std(axis=1, ddof=1)
    assert np.mean(means > widths) == pytest.approx(0.8, abs=0.012)


def test_six_speakers_resolve_three_points_at_best() -> None:
    assert half_width(0.03, 6) == pytest.approx(0.0315, abs=0.0001)
    assert detectable_difference(0.03, 6) == pytest.approx(0.043, abs=0.001)


def test_differences_without_spread_carry_no_test() -> None:
    assert paired_t([0.1]) is None
    assert paired_t([0.1, 0.1, 0.1]) is None


def test_paired_t_by_hand() -> None:
    # Mean 0.02, sd 0.01, n 3: t = 0.02 / (0.01 / sqrt 3) = 3.4641, two-sided p with 2 degrees 0.0742.
    result = paired_t([0.01, 0.02, 0.03])
    assert result is not None
    assert result.mean == pytest.approx(0.02)
    assert result.p_value == pytest.approx(0.07418, abs=1e-5)
    assert result.interval.low == pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5)


def false_positive_shares(runs: int, spread: float) -> tuple[float, float]:
    """Shares of runs in which two backends that are equally good on the population look different."""
    generator = np.random.default_rng(3)
    found = np.zeros(2)
    for _ in range(runs):
        voices = generator.normal(0.87, 0.06, size=SPEAKERS)
        rates = np.clip(voices + generator.normal(0, spread / 2**0.5, size=(2, SPEAKERS)), 0, 1)
        right = generator.random((2, CLIPS, SPEAKERS)) < rates[:, np.newaxis]
        test = paired_t((right[0].mean(axis=0) - right[1].mean(axis=0)).tolist())
        only_first, only_second = (int((right[a] & ~right[b]).sum()) for a, b in ((0, 1), (1, 0)))
        found += test is not None and test.p_value < 0.05, mcnemar_p(only_first, only_second) < 0.05
    return tuple(found / runs)


def test_paired_test_keeps_its_size_where_mcnemar_does_not() -> None:
    paired, pooled = false_positive_shares(1000, spread=0.03)
    assert paired <= 0.065  # 5 % with a standard error of .7 points
    assert pooled > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.01, 0.03, 0.06])
def test_paired_test_keeps_its_size_at_every_spread(spread: float) -> None:
    assert false_positive_shares(10_000, spread)[0] <= 0.06
