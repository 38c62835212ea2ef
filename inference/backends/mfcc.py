"""MFCC statistics and a support vector machine or a regression: small, well under a millisecond per clip."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

from inference.backends.base import DigitBackend, Prediction, prediction_from_probabilities
from inference.checkpoint import read_crop_contract, read_json, read_labels, require_files
from inference.crop import CropContract, prepare
from inference.errors import CheckpointError
from inference.features import FeatureSettings, mfcc_statistics, num_statistics
from inference.multiply_accumulates import count_log_mel
from inference.rejection import REJECTION_FILE, read_rejection
from inference.stages import stage
from inference.vocabulary import vocabulary

CHECKPOINT_FILES = ("model.safetensors", "labels.json", "features.json", "crop.json")


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """A logistic regression as arrays: ``softmax(x @ weights + bias)`` of components x.

    Attributes:
        mean: Mean of each statistic, ``(num_statistics,)``.
        projection: From statistics to their principal components, ``(num_statistics, num_components)``; each
            statistic is divided by its standard deviation before.
        weights: Part of each row in each label, ``(num_rows, num_labels)``.
        bias: ``(num_labels,)``.
    """

    mean: np.ndarray
    projection: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def probabilities(self, statistics: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Probabilities ``(num_clips, num_labels)`` of statistics ``(num_clips, num_statistics)``."""
        rows = self._rows((statistics - self.mean) @ self.projection)
        logits = (rows @ self.weights + self.bias) / temperature
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def _rows(self, components: np.ndarray) -> np.ndarray:
        return components

    def fits_together(self) -> bool:
        """Whether the shapes agree with each other and with the labels, a reject class included."""
        num_labels = self.bias.size
        return (
            self.projection.shape == (self.mean.size, self._num_components())
            and self.mean.ndim == 1
            and self.weights.shape == (self._num_rows(), num_labels)
            and num_labels in (len(vocabulary().labels), len(vocabulary().labels) + 1)
        )

    def _num_components(self) -> int:
        return len(self.weights)

    def _num_rows(self) -> int:
        return len(self.weights)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored, by name."""
        return {name: np.asarray(value) for name, value in asdict(self).items()}

    @property
    def num_parameters(self) -> int:
        """Number of stored values."""
        return sum(array.size for array in self.arrays().values())


@dataclass(frozen=True, eq=False)
class KernelClassifier(LinearClassifier):
    """A radial-basis machine as arrays: ``softmax(exp(-gamma * |x - v|^2) @ weights + bias)``.

    Attributes:
        support_vectors: Their components, ``(num_vectors, num_components)``; each has a row of weights.
        gamma: Width of the kernel, a scalar.
    """

    support_vectors: np.ndarray
    gamma: np.ndarray

    def __post_init__(self) -> None:
        # |x - v|^2 = |x|^2 - 2 x v + |v|^2; the last term is the same for every clip.
        square = np.einsum("ij,ij->i", self.support_vectors, self.support_vectors)
        object.__setattr__(self, "_squared_norms", square)

    def _rows(self, components: np.ndarray) -> np.ndarray:
        # Clip by clip: a product of a few rows would first rearrange all support vectors, and take longer.
        products = np.stack([self.support_vectors @ row for row in components])
        squares = np.vecdot(components, components)[:, None] + self._squared_norms  # type: ignore[attr-defined]
        return np.exp(self.gamma * (2.0 * products - squares))

    def fits_together(self) -> bool:
        """See ``LinearClassifier.fits_together``."""
        return self.support_vectors.ndim == 2 and self.gamma.shape == () and super().fits_together()

    def _num_components(self) -> int:
        return self.support_vectors.shape[1]

    def _num_rows(self) -> int:
        return len(self.support_vectors)


class MfccBackend(DigitBackend):
    """Runs a model fitted by ``python -m finetune.fit_baseline``; needs numpy alone."""

    def __init__(self, classifier: LinearClassifier, settings: FeatureSettings, contract: CropContract):
        self._classifier = classifier
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
        width, expected = backend._classifier.mean.size, num_statistics(settings)
        if width != expected:
            raise CheckpointError(
                f"{folder}: features.json gives {expected} statistics per clip, the weights expect {width}; "
                "the files belong to different models."
            )
        threadpool_limits(limits=threads, user_api="blas")
        backend.rejection = read_rejection(folder)
        names = (*CHECKPOINT_FILES, REJECTION_FILE)
        backend.checkpoint_files = tuple(folder / name for name in names if (folder / name).is_file())
        return backend

    def multiply_accumulates(self, num_samples: int) -> int:
        """See ``DigitBackend.multiply_accumulates``; silence at the ends is not cut off."""
        features = count_log_mel(num_samples, self._settings.n_mels, self._settings.n_mfcc)
        return features + self._classifier.num_parameters

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``DigitBackend.predict``."""
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
            temperature = self.rejection.temperature if self.rejection else 1.0
            probabilities = self._classifier.probabilities(statistics, temperature)
        return [prediction_from_probabilities(row) for row in probabilities]


def _read_classifier(path: Path) -> LinearClassifier:
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    kinds = {
        frozenset(field.name for field in fields(kind)): kind for kind in (KernelClassifier, LinearClassifier)
    }
    kind = kinds.get(frozenset(arrays))
    if kind is None:
        expected = " or ".join(str(sorted(names)) for names in kinds)
        raise CheckpointError(f"{path} holds {sorted(arrays)}, expected {expected}; make it again.")
    try:
        classifier = kind(**arrays)
        fits_together = classifier.fits_together()
    except (ValueError, IndexError):  # arrays of other dimensions
        fits_together = False
    if not fits_together:
        raise CheckpointError(
            f"{path}: the arrays do not fit together or the {len(vocabulary().labels)} labels."
        )
    return classifier
