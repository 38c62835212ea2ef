"""Thresholds read off other words, the curve, and paired differences; against counts by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.reports.unheard import HEADLINE, NEVER, UnheardAnswers, compare_unheard, unheard_row


def answers(words: list[tuple[bool, float]], others: list[float], has_scores: bool = True) -> UnheardAnswers:
    """Words as ``(correct, confidence)``, two of each speaker; what has a confidence above .5 is shown."""
    heard = pd.DataFrame(
        {
            "clip": [f"clip{place}" for place in range(len(words))],
            "speaker": [f"speaker{place // 2}" for place in range(len(words))],
            "correct": [correct for correct, _ in words],
            "confidence": [sure for _, sure in words],
            "shown": [sure > 0.5 for _, sure in words],
        }
    )
    other = pd.DataFrame({"confidence": others, "shown": [sure > 0.5 for sure in others]})
    return UnheardAnswers(heard, other, has_scores)


def test_the_threshold_lets_through_what_was_asked_for_and_no_more() -> None:
    others = np.linspace(0, 0.99, 100)
    found = answers([(True, 1.0)] * 4, others.tolist())
    for share in (0.05, 0.01):
        threshold = found.threshold(share)
        assert threshold is not None
        assert (others > threshold).mean() == pytest.approx(share)
    assert answers([(True, 1.0)], [0.5] * 19).threshold(0.05) is None
    tied = answers([(True, 0.5)], [0.5] * 100)
    right = tied.right_and_shown(0.05)
    assert right is not None
    assert not right.any()  # what cannot be told from the other words is not shown


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    generator = np.random.default_rng(0)
    sure, others = generator.random(40).round(1), (generator.random(60) * 0.8).round(1)
    pairs = np.sign(sure[:, np.newaxis] - others) / 2 + 0.5
    found = answers([(True, float(value)) for value in sure], others.tolist())
    assert found.auroc == pytest.approx(float(pairs.mean()))


def test_the_curve_passes_through_the_figures_of_the_table() -> None:
    generator = np.random.default_rng(1)
    words = [(bool(generator.random() < 0.9), float(generator.random())) for _ in range(60)]
    found = answers(words, (generator.random(200) * 0.9).tolist())
    false_accepts, right = found.curve(0.2)
    assert false_accepts[0] == 0
    assert false_accepts[-1] == pytest.approx(0.2)
    assert (np.diff(right) >= 0).all()
    row = unheard_row(found)
    assert right[false_accepts.tolist().index(0.05)] == pytest.approx(row[HEADLINE])
    assert row[f"{HEADLINE}_low"] < row[HEADLINE] < row[f"{HEADLINE}_high"]
    assert row["interval_method"] == "bootstrap over speakers"
    assert row["closed"] == pytest.approx(np.mean([correct for correct, _ in words]))


def test_answers_without_scores_have_their_own_operating_point_only() -> None:
    row = unheard_row(answers([(True, NEVER), (False, NEVER)] * 3, [NEVER] * 100, has_scores=False))
    assert row["auroc"] is None
    assert HEADLINE not in row
    assert (row["closed"], row["own_right"], row["own_shown"]) == (0.5, 0.0, 0.0)


def test_differences_are_paired_over_speakers() -> None:
    others = np.linspace(0, 0.5, 100).tolist()
    good = answers([(True, 0.9)] * 60, others)
    worse = answers([(place % 4 != 0, 0.9) for place in range(60)], others)
    test = compare_unheard(good, worse, 0.05)
    assert test["difference"] == pytest.approx(0.25)
    assert 0 < test["difference_low"] < 0.25 < test["difference_high"]
    same = compare_unheard(good, good, 0.05)
    assert (same["difference"], same["difference_low"]) == (0, 0)
    few = compare_unheard(answers([(True, 0.9)] * 4, others), answers([(False, 0.9)] * 4, others), 0.05)
    assert (few["difference"], few["difference_low"]) == (1, None)
