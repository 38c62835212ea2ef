"""Intervals against published and simulated values."""

import numpy as np
import pytest

from finetune.intervals import exact_interval, speaker_interval, wilson_interval


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
