"""A random forest as arrays."""

import numpy as np
import pytest

from finetune.baselines.forest import as_arrays, new_forest


@pytest.mark.parametrize("num_labels", [2, 10])
def test_the_arrays_of_a_forest_equal_the_library(num_labels: int) -> None:
    """To the last bit of a threshold: half of the clips lie on values that the forest has learned from."""
    generator = np.random.default_rng(0)
    label_ids = np.repeat(np.arange(num_labels), 30)
    centres = generator.standard_normal((num_labels, 20))
    statistics = (centres[label_ids] + generator.standard_normal((label_ids.size, 20))).astype(np.float32)
    forest = new_forest().fit(statistics, label_ids)
    fresh = np.vstack([statistics, generator.choice(statistics, 100) + np.float32(0.3)])
    expected = forest.predict_proba(fresh)
    classifier = as_arrays(forest)
    np.testing.assert_allclose(classifier.probabilities(fresh), expected, atol=1e-6)
    sharper = classifier.probabilities(fresh, temperature=0.5)
    np.testing.assert_allclose(sharper, expected**2 / (expected**2).sum(axis=1, keepdims=True), atol=1e-5)
