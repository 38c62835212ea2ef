"""MFCC statistics and a support vector machine: a few megabytes, about a millisecond per clip."""

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
from inference.labels import LABELS

CHECKPOINT_FILES = ("model.safetensors", "labels.json", "features.json", "crop.json")


@dataclass(frozen=True, eq=False)
class KernelClassifier:
    """A radial-basis machine as arrays: ``softmax(exp(-gamma * |x - v|^2) @ weights + bias)``.

    Attributes:
        mean: Mean of each statistic, ``(num_statistics,)``.
        scale: Standard deviation of each, same shape.
        support_vectors: Standardised, ``(num_vectors, num_statistics)``.
        weights: Each vector's part in each label, ``(num_vectors, num_labels)``.
        bias: ``(num_labels,)``.
        gamma: Width of the kernel, a scalar.
    """

    mean: np.ndarray
    scale: np.ndarray
    support_vectors: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    gamma: np.ndarray

    def __post_init__(self) -> None:
        # |x - v|^2 = |x|^2 - 2 x v + |v|^2; the last term is the same for every clip.
        square = np.einsum("ij,ij->i", self.support_vectors, self.support_vectors)
        object.__setattr__(self, "_squared_norms", square)

    def probabilities(self, statistics: np.ndarray) -> np.ndarray:
        """Probabilities ``(num_clips, num_labels)`` of statistics ``(num_clips, num_statistics)``."""
        rows = (statistics - self.mean) / self.scale
        distances = np.einsum("ij,ij->i", rows, rows)[:, None] + self._squared_norms  # type: ignore[attr-defined]
        distances -= 2.0 * rows @ self.support_vectors.T
        logits = np.exp(-self.gamma * distances) @ self.weights + self.bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored, by name."""
        return {name: np.asarray(value) for name, value in asdict(self).items()}

    @property
    def num_parameters(self) -> int:
        """Number of stored values."""
        return sum(array.size for array in self.arrays().values())


class MfccBackend(DigitBackend):
    """Runs a model fitted by ``python -m finetune.fit_baseline``; needs numpy alone."""

    def __init__(self, classifier: KernelClassifier, settings: FeatureSettings, contract: CropContract):
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
        backend.checkpoint_files = tuple(folder / name for name in CHECKPOINT_FILES)
        return backend

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``DigitBackend.predict``."""
        if not waveforms:
            return []
        statistics = np.stack(
            [mfcc_statistics(prepare(waveform, self.crop_contract), self._settings) for waveform in waveforms]
        )
        return [prediction_from_probabilities(row) for row in self._classifier.probabilities(statistics)]


def _read_classifier(path: Path) -> KernelClassifier:
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    names = {field.name for field in fields(KernelClassifier)}
    if set(arrays) != names:
        raise CheckpointError(f"{path} holds {sorted(arrays)}, expected {sorted(names)}; make it again.")
    classifier = KernelClassifier(**arrays)
    num_vectors, width = classifier.support_vectors.shape
    shapes = [(width,), (width,), (num_vectors, width), (num_vectors, len(LABELS)), (len(LABELS),), ()]
    if [array.shape for array in classifier.arrays().values()] != shapes:
        raise CheckpointError(f"{path}: the arrays do not fit together or the {len(LABELS)} labels.")
    return classifier
