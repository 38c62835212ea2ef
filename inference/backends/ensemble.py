"""Several classifiers asked together: the mean of their log-probabilities decides.

(A product of experts; Kittler et al. 1998, "On combining classifiers", the product rule.) Models that
err on different clips correct each other.
"""

from collections.abc import Sequence

import numpy as np

from inference.backends.base import Backend
from inference.backends.table import calibration_folder, load_backend, read_members
from inference.checkpoint import read_operating_point
from inference.crop import CropContract
from inference.errors import CheckpointError
from inference.prediction import (
    MOST_PROBABLE,
    OperatingPoint,
    Prediction,
    prediction_from_probabilities,
    softmax,
)

#: What a member gives each label at least, so that none can forbid one.
LEAST_MEMBER_PROBABILITY = 1e-6


class EnsembleBackend(Backend):
    """Runs two or more backends that give a probability per label.

    Args:
        members: Loaded backends.
        operating_point: Of the joint answer.
    """

    def __init__(self, members: Sequence[Backend], operating_point: OperatingPoint = MOST_PROBABLE):
        self._members = members
        self.operating_point = operating_point
        self.crop_contract = widest_crop(members)
        self.num_parameters = sum(member.num_parameters or 0 for member in members)
        self.checkpoint_files = tuple(path for member in members for path in member.checkpoint_files)

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "EnsembleBackend":
        """Loads the members, see ``read_members``.

        Members that were not calibrated together have no operating point.

        Raises:
            CheckpointError: If fewer than two are named, or one cannot be loaded.
        """
        members = [load_backend(name, folder, threads) for name, folder in read_members(checkpoint)]
        folder = calibration_folder("ensemble", checkpoint)
        return cls(members, read_operating_point(folder) if folder else MOST_PROBABLE)

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
        temperature = self.operating_point.temperature
        return [
            normalised(joint([log_probabilities(found) for found in predictions]) / temperature)
            for predictions in answers
        ]


def widest_crop(members: Sequence[Backend]) -> CropContract:
    """The crop that serves all: every member trims or tolerates what it needs not."""
    contracts = [member.crop_contract for member in members]
    return CropContract(
        pre_ms=max(contract.pre_ms for contract in contracts),
        post_ms=max(contract.post_ms for contract in contracts),
        min_ms=max(contract.min_ms for contract in contracts),
    )


def log_probabilities(prediction: Prediction) -> np.ndarray:
    """Of the labels and of none of them, ``(num_labels + 1,)``; NaN at the end where the last is unknown.

    Raises:
        CheckpointError: If the backend gives no probabilities.
    """
    if prediction.probabilities is None:
        raise CheckpointError(
            "ensemble and cascade need members that give a probability per label; leave out pocketsphinx "
            "and Whisper's decode=free."
        )
    none = np.nan if prediction.none_probability is None else prediction.none_probability
    return np.log(np.maximum((*prediction.probabilities, none), LEAST_MEMBER_PROBABILITY))


def joint(rows: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of rows of ``log_probabilities``.

    Whether it is a word at all is left to those that were trained to tell; of the others the labels share
    the rest.
    """
    known = [row[-1] for row in rows if not np.isnan(row[-1])]
    if known:
        none = float(np.mean(known))
        rows = [_completed(row, none) if np.isnan(row[-1]) else row for row in rows]
    mean: np.ndarray = np.mean(rows, axis=0)
    return mean


def _completed(row: np.ndarray, none: float) -> np.ndarray:
    return np.append(row[:-1] + np.log1p(-np.exp(none)), none)


def normalised(logarithms: np.ndarray) -> Prediction:
    """The prediction of joint log-probabilities, which need not sum to one."""
    return prediction_from_probabilities(softmax(logarithms[~np.isnan(logarithms)]))
