"""MFCC statistics and a support vector machine, a regression or a forest, as arrays: small and fast."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

from inference.backends.base import Backend
from inference.backends.multiply_accumulates import count_log_mel
from inference.checkpoint import (
    OPERATING_POINT_FILE,
    read_crop_contract,
    read_json,
    read_labels,
    read_operating_point,
    require_files,
)
from inference.crop import CropContract, prepare
from inference.errors import CheckpointError
from inference.features import FeatureSettings, mfcc_statistics, num_statistics
from inference.prediction import Prediction, prediction_from_probabilities, softmax
from inference.stage_timer import stage
from inference.vocabulary import vocabulary

CHECKPOINT_FILES = ("model.safetensors", "labels.json", "features.json", "crop.json")


@dataclass(frozen=True, eq=False)
class ArrayClassifier:
    """A model of MFCC statistics whose fields are the arrays that are stored."""

    @property
    def num_statistics(self) -> int:
        """Statistics of a clip that are expected."""
        raise NotImplementedError

    def probabilities(self, statistics: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Probabilities ``(num_clips, num_labels)`` of statistics ``(num_clips, num_statistics)``."""
        raise NotImplementedError

    def fits_together(self) -> bool:
        """Whether the shapes agree with each other and with the labels, a reject class included."""
        raise NotImplementedError

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored, by name."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @property
    def num_parameters(self) -> int:
        """Number of stored values."""
        return sum(array.size for array in self.arrays().values())

    @property
    def multiply_accumulates(self) -> int:
        """Of one clip."""
        return self.num_parameters


@dataclass(frozen=True, eq=False)
class LinearClassifier(ArrayClassifier):
    """A logistic regression as arrays: ``softmax(x @ weights + bias)`` of components x.

    Attributes:
        mean: Mean of each statistic, ``(num_statistics,)``.
        projection: From statistics to their principal components, ``(num_statistics, num_components)``; each
            statistic is divided by its standard deviation before.
        weights: Part of each component in each label, ``(num_components, num_labels)``.
        bias: ``(num_labels,)``.
    """

    mean: np.ndarray
    projection: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @property
    def num_statistics(self) -> int:
        """See ``ArrayClassifier``."""
        return self.mean.size

    def probabilities(self, statistics: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """See ``ArrayClassifier``."""
        return softmax(self._logits((statistics - self.mean) @ self.projection) / temperature)

    def _logits(self, components: np.ndarray) -> np.ndarray:
        return components @ self.weights + self.bias

    def fits_together(self) -> bool:
        """See ``ArrayClassifier``."""
        num_labels = len(vocabulary().labels)
        return (
            self.mean.ndim == self.bias.ndim == 1
            and self.projection.shape == (self.mean.size, self._num_components())
            and self.weights.shape == (self._num_rows(), self.bias.size)
            and self.bias.size in (self._num_columns(num_labels), self._num_columns(num_labels + 1))
        )

    def _num_components(self) -> int:
        return len(self.weights)

    def _num_rows(self) -> int:
        return len(self.weights)

    def _num_columns(self, num_labels: int) -> int:
        return num_labels


@dataclass(frozen=True, eq=False)
class KernelClassifier(LinearClassifier):
    """A radial-basis machine as arrays, whose labels are compared pair by pair.

    The margins of the pairs are ``exp(-gamma * |x - v|^2) @ weights + bias`` of components x, in the order
    of ``itertools.combinations``; see ``logits_of_margins``.

    Attributes:
        support_vectors: Their components, ``(num_vectors, num_components)``.
        weights: Part of each vector in each margin, ``(num_vectors, num_pairs)``.
        bias: ``(num_pairs,)``.
        gamma: Width of the kernel, a scalar.
    """

    support_vectors: np.ndarray
    gamma: np.ndarray

    def __post_init__(self) -> None:
        # |x - v|^2 = |x|^2 - 2 x v + |v|^2; the last term is the same for every clip.
        square = np.einsum("ij,ij->i", self.support_vectors, self.support_vectors)
        object.__setattr__(self, "_squared_norms", square)

    def _logits(self, components: np.ndarray) -> np.ndarray:
        # Clip by clip: a product of a few rows would first rearrange all support vectors, and take longer.
        products = np.stack([self.support_vectors @ row for row in components])
        squares = np.vecdot(components, components)[:, None] + self._squared_norms  # type: ignore[attr-defined]
        rows = np.exp(self.gamma * (2.0 * products - squares))
        return logits_of_margins(rows @ self.weights + self.bias)

    def fits_together(self) -> bool:
        """See ``ArrayClassifier``."""
        return self.support_vectors.ndim == 2 and self.gamma.shape == () and super().fits_together()

    def _num_components(self) -> int:
        return self.support_vectors.shape[1]

    def _num_rows(self) -> int:
        return len(self.support_vectors)

    def _num_columns(self, num_labels: int) -> int:
        return num_labels * (num_labels - 1) // 2


@dataclass(frozen=True, eq=False)
class ForestClassifier(ArrayClassifier):
    """A random forest as arrays: the mean over its trees of what the leaf that a clip reaches says.

    The nodes of all trees lie in one row, each before those below it.

    Attributes:
        roots: First node of each tree, ``(num_trees,)``.
        statistic: Which statistic a node looks at, ``(num_nodes,)``.
        threshold: A clip with at most so much of it goes on to the first of the node's two children, any
            other to the second; ``(num_nodes,)``.
        children: Nodes that follow, ``(num_nodes, 2)``; both are the node itself for a leaf.
        shares: Share of each label among the clips that a node has learned from, ``(num_nodes, num_labels)``.
        width: Length of the vector of statistics, a scalar.
    """

    roots: np.ndarray
    statistic: np.ndarray
    threshold: np.ndarray
    children: np.ndarray
    shares: np.ndarray
    width: np.ndarray

    @property
    def num_statistics(self) -> int:
        """See ``ArrayClassifier``."""
        return int(self.width)

    def probabilities(self, statistics: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """See ``ArrayClassifier``; all trees go down a step at once."""
        clips = np.arange(len(statistics))[:, None]
        nodes = np.tile(self.roots, (len(statistics), 1))
        while (self.children[nodes, 0] != nodes).any():
            is_more = statistics[clips, self.statistic[nodes]] > self.threshold[nodes]
            nodes = self.children[nodes, is_more.astype(int)]
        tempered = self.shares[nodes].mean(axis=1) ** (1.0 / temperature)
        return tempered / tempered.sum(axis=1, keepdims=True)

    def fits_together(self) -> bool:
        """See ``ArrayClassifier``; no walk through a tree may leave the arrays or have no end."""
        num_nodes, num_labels = self.shares.shape
        below = self.children - np.arange(num_nodes)[:, None]
        return (
            self.statistic.shape == self.threshold.shape == (num_nodes,)
            and below.shape == (num_nodes, 2)
            and _are_indices(self.roots, num_nodes)
            and _are_indices(self.children, num_nodes)
            and _are_indices(self.statistic, self.num_statistics)
            and bool(((below > 0).all(axis=1) | (below == 0).all(axis=1)).all())
            and num_labels - len(vocabulary().labels) in (0, 1)
        )

    @property
    def multiply_accumulates(self) -> int:
        """Of one clip: the leaves are added up, the rest is comparisons."""
        return self.roots.size * self.shares.shape[1]


def _are_indices(array: np.ndarray, size: int) -> bool:
    return bool(array.dtype.kind == "i" and array.size and array.min() >= 0 and array.max() < size)


def logits_of_margins(margins: np.ndarray) -> np.ndarray:
    """Of each label the sum of the margins by which it loses: 0 where it beats all others.

    It is what a sum of the logarithms of pairwise probabilities (Price et al. 1995, "Pairwise neural
    network classifiers with probabilistic outputs") becomes for steep ones. By how much a label wins
    does not count: a margin between two labels that are both wrong tells nothing.

    Args:
        margins: ``(num_clips, num_pairs)`` in the order of ``itertools.combinations``, positive where the
            first of two labels wins.

    Returns:
        ``(num_clips, num_labels)``, none above 0.
    """
    either, second = places_in_pairs(margins.shape[1])
    # The first of two loses min(margin, 0), the second min(-margin, 0) = min(margin, 0) - margin.
    return np.minimum(margins, 0.0) @ either - margins @ second


@functools.cache
def places_in_pairs(num_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each label is one of a pair, and where the second: ``(num_pairs, num_labels)`` of 0 and 1."""
    num_labels = round((1 + (1 + 8 * num_pairs) ** 0.5) / 2)
    pairs = list(combinations(range(num_labels), 2))
    first, second = np.eye(num_labels, dtype=np.float32)[pairs].swapaxes(0, 1)
    return first + second, second


class MfccBackend(Backend):
    """Runs a model fitted by ``python -m finetune.fit_baseline``; needs numpy alone."""

    def __init__(self, classifier: ArrayClassifier, settings: FeatureSettings, contract: CropContract):
        self.classifier = classifier
        self._settings = settings
        self.crop_contract = contract
        self.num_parameters = classifier.num_parameters

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "MfccBackend":
        """Loads a folder with weights, labels, feature settings and crop contract.

        Raises:
            CheckpointError: If a file is missing, damaged or does not belong to the others.
        """
        folder = Path(checkpoint)
        require_files(folder, CHECKPOINT_FILES, "python -m finetune.fit_baseline --model mfcc-svm")
        read_labels(folder)
        try:
            settings = FeatureSettings(**read_json(folder / "features.json"))
        except TypeError as error:
            raise CheckpointError(f"{folder / 'features.json'} holds no feature settings: {error}") from error
        backend = cls(_read_classifier(folder / "model.safetensors"), settings, read_crop_contract(folder))
        width, expected = backend.classifier.num_statistics, num_statistics(settings)
        if width != expected:
            raise CheckpointError(
                f"{folder}: features.json gives {expected} statistics per clip, the weights expect {width}; "
                "the files belong to different models."
            )
        threadpool_limits(limits=threads, user_api="blas")
        backend.operating_point = read_operating_point(folder)
        names = (*CHECKPOINT_FILES, OPERATING_POINT_FILE)
        backend.checkpoint_files = tuple(folder / name for name in names if (folder / name).is_file())
        return backend

    def multiply_accumulates(self, num_samples: int) -> int:
        """See ``Backend.multiply_accumulates``; silence at the ends is not cut off."""
        features = count_log_mel(num_samples, self._settings.n_mels, self._settings.n_mfcc)
        return features + self.classifier.multiply_accumulates

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``Backend.predict``."""
        if not waveforms:
            return []
        with stage("features"):
            statistics = np.stack(
                [
                    mfcc_statistics(prepare(waveform, self.crop_contract), self._settings)
                    for waveform in waveforms
                ]
            )
        with stage("model"):
            probabilities = self.classifier.probabilities(statistics, self.operating_point.temperature)
        return [prediction_from_probabilities(row) for row in probabilities]


def _read_classifier(path: Path) -> ArrayClassifier:
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    kinds: dict[frozenset[str], type[ArrayClassifier]] = {
        frozenset(field.name for field in fields(kind)): kind
        for kind in (KernelClassifier, LinearClassifier, ForestClassifier)
    }
    kind = kinds.get(frozenset(arrays))
    if kind is None:
        expected = " or ".join(str(sorted(names)) for names in kinds)
        raise CheckpointError(f"{path} holds {sorted(arrays)}, expected {expected}; make it again.")
    try:
        classifier = kind(**arrays)
        fits_together = classifier.fits_together()
    except (ValueError, IndexError, TypeError):  # arrays of other dimensions
        fits_together = False
    if not fits_together:
        raise CheckpointError(
            f"{path}: the arrays do not fit together or the {len(vocabulary().labels)} labels."
        )
    return classifier
