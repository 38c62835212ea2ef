"""Models of MFCC statistics: chosen over speakers, and multiplied out without a change of an answer."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from finetune.baselines.statistics_models import (
    MAX_ROWS,
    _learned_rows,
    best_steepness,
    choose_point,
    collapse,
)
from inference.vocabulary import DIGITS


@pytest.mark.parametrize("num_labels", [2, 3, 10])
def test_collapsed_arrays_equal_the_library(num_labels: int) -> None:
    """Multiplying components and margins out must not change a margin's sign or size."""
    generator = np.random.default_rng(0)
    label_ids = np.repeat(np.arange(num_labels), 12)
    centres = generator.standard_normal((num_labels, 20))
    statistics = (centres[label_ids] + generator.standard_normal((label_ids.size, 20))).astype(np.float32)
    front = make_pipeline(StandardScaler(), PCA(0.9, svd_solver="full")).fit(statistics)
    machine = SVC(gamma=0.05, decision_function_shape="ovo").fit(front.transform(statistics), label_ids)
    fresh = generator.standard_normal((50, 20)).astype(np.float32) * 2
    margins = machine.decision_function(front.transform(fresh)).reshape(50, -1)
    if num_labels == 2:
        margins = -margins
    lost = np.zeros((50, num_labels))
    for column, (first, second) in enumerate(combinations(range(num_labels), 2)):
        lost[:, first] += np.minimum(margins[:, column], 0.0)
        lost[:, second] += np.minimum(-margins[:, column], 0.0)
    classifier = collapse(front, machine, 3.0)
    np.testing.assert_allclose(classifier.probabilities(fresh), softmax(3.0 * lost, axis=1), atol=1e-4)
    # A label that beats all others is the machine's own answer.
    unbeaten = lost.max(axis=1) == 0.0
    assert unbeaten.sum() > 20
    answers = classifier.probabilities(fresh).argmax(axis=1)
    np.testing.assert_array_equal(answers[unbeaten], machine.predict(front.transform(fresh))[unbeaten])


def test_steepness_is_that_of_the_greatest_likelihood() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0.0, 1.0, (20_000, 4))
    noise = generator.gumbel(
        size=logits.shape
    )  # the largest of logits + Gumbel noise has softmax probabilities
    assert best_steepness(logits, (2.5 * logits + noise).argmax(axis=1)) == pytest.approx(2.5, rel=0.05)


def test_the_grid_is_chosen_over_held_out_speakers() -> None:
    """Two voices of swapped labels: by clips every point would be perfect, by speakers none is."""
    generator = np.random.default_rng(0)
    label_ids = np.tile(np.arange(len(DIGITS.labels)), 8)
    speakers = np.repeat(["a", "b"], 40)
    shifted = np.where(speakers == "a", label_ids, (label_ids + 1) % len(DIGITS.labels))
    bands = [np.full((20, 40), -20.0, np.float32) for _ in label_ids]
    for matrix, label_id in zip(bands, shifted, strict=True):
        matrix[:, 4 * label_id : 4 * label_id + 4] = generator.normal(0.0, 0.1, (20, 4))
    _, by_speakers = choose_point("mfcc-svm", bands, label_ids, speakers)
    _, by_clips = choose_point("mfcc-svm", bands, shifted, np.array(["a"] * len(speakers)))
    assert by_speakers < 0.2
    assert by_clips > 0.9


def test_a_large_corpus_is_learned_from_once_and_its_rare_labels_whole() -> None:
    label_ids = np.repeat([0, 1, 2], [12_000, 3_000, 40])
    rows, copies = _learned_rows(label_ids, seed=0)
    assert len(rows) == len(set(rows.tolist())) == len(copies) == MAX_ROWS
    assert np.bincount(label_ids[rows]).tolist() == [MAX_ROWS - 3_040, 3_000, 40]
    assert np.mean(copies == 0) == pytest.approx(0.5, abs=0.05)
    rows, copies = _learned_rows(label_ids[-900:], seed=0)
    assert {*zip(rows.tolist(), copies.tolist(), strict=True)} == {*product(range(900), range(3))}
