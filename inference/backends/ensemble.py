"""Several classifiers asked together: the mean of their log-probabilities decides.

(A product of experts; Kittler et al. 1998, "On combining classifiers", the product rule.) Models that
err on different clips correct each other.
"""

from collections.abc import Sequence

import numpy as np

from inference.backends.base import Backend
from inference.backends.table import load_backend, read_members
from inference.crop import CropContract
from inference.errors import CheckpointError
from inference.prediction import Prediction, prediction_from_probabilities

#: Least probability, so that one member cannot forbid a label.
LEAST_PROBABILITY = 1e-6


class EnsembleBackend(Backend):
    """Runs two or more backends that give a probability per label.

    Args:
        members: Loaded backends.
    """

    def __init__(self, members: Sequence[Backend]):
        self._members = members
        # The widest crop: every member trims or tolerates what it needs not.
        contracts = [member.crop_contract for member in members]
        self.crop_contract = CropContract(
            pre_ms=max(contract.pre_ms for contract in contracts),
            post_ms=max(contract.post_ms for contract in contracts),
            min_ms=max(contract.min_ms for contract in contracts),
        )
        self.num_parameters = sum(member.num_parameters or 0 for member in members)
        self.checkpoint_files = tuple(path for member in members for path in member.checkpoint_files)

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "EnsembleBackend":
        """Loads members named ``NAME`` or ``NAME=CHECKPOINT``, joined by "+".

        Raises:
            CheckpointError: If fewer than two are named, or one cannot be loaded.
        """
        return cls([load_backend(name, folder, threads) for name, folder in read_members(checkpoint)])

    def multiply_accumulates(self, num_samples: int) -> int | None:
        """See ``Backend.multiply_accumulates``: what the members do together."""
        counts = [member.multiply_accumulates(num_samples) for member in self._members]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``Backend.predict``.

        Raises:
            CheckpointError: If a member gives no probabilities.
        """
        answers = zip(*(member.predict(waveforms) for member in self._members), strict=True)
        return [_combine(predictions) for predictions in answers]


def _combine(predictions: Sequence[Prediction]) -> Prediction:
    rows = []
    for prediction in predictions:
        if prediction.probabilities is None:
            raise CheckpointError("an ensemble needs members that give a probability per label.")
        rows.append(prediction.probabilities)
    # Members with and without a reject class agree on what they all know: the labels.
    logarithms = np.log(np.maximum(np.array(rows), LEAST_PROBABILITY)).mean(axis=0)
    probabilities = np.exp(logarithms - logarithms.max())
    return prediction_from_probabilities(probabilities / probabilities.sum())
