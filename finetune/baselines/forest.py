"""A random forest on MFCC statistics, and the arrays that it becomes."""

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from inference.backends.mfcc import ForestClassifier

#: On held-out training speakers as good as twice as many.
NUM_TREES = 100
#: Rows in a leaf, at least: as good there as 1, with three nodes in ten fewer.
ROWS_IN_LEAF = 3


def new_forest() -> RandomForestClassifier:
    """An unfitted forest (Breiman 2001, "Random forests"), drawn alike each time."""
    return RandomForestClassifier(NUM_TREES, min_samples_leaf=ROWS_IN_LEAF, random_state=0)


def fit_forest(statistics: np.ndarray, label_ids: np.ndarray) -> ForestClassifier:
    """Fits a forest to statistics as they are: trees ask no scale of them.

    Args:
        statistics: ``(num_rows, num_statistics)``.
        label_ids: Classes of the rows, from 0.
    """
    return as_arrays(new_forest().fit(statistics, label_ids))


def as_arrays(forest: RandomForestClassifier) -> ForestClassifier:
    """The same function as arrays."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    own = [np.arange(tree.node_count) for tree in trees]
    below = [np.column_stack([tree.children_left, tree.children_right]) for tree in trees]
    children = [
        root + np.where(pair < 0, places[:, None], pair)
        for root, pair, places in zip(roots, below, own, strict=True)
    ]
    threshold = np.concatenate([tree.threshold for tree in trees])
    rounded = threshold.astype(np.float32)
    # Statistics are float32: a threshold that was rounded up would let one more value pass.
    rounded = np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return ForestClassifier(
        roots=roots.astype(np.int32),
        # A leaf asks for nothing, which the library calls statistic -2.
        statistic=np.maximum(np.concatenate([tree.feature for tree in trees]), 0).astype(np.int32),
        threshold=rounded.astype(np.float32),
        children=np.concatenate(children).astype(np.int32),
        shares=np.concatenate([tree.value[:, 0] for tree in trees]).astype(np.float32),
        width=np.array(forest.n_features_in_, np.int32),
    )
