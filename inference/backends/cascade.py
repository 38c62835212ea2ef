"""A small model first, a large one only where the small one is in doubt.

(A cascade of classifiers; Viola and Jones 2001, https://doi.org/10.1109/CVPR.2001.990517.) Most words
cost what the small model costs. What is passed on is decided by both: the weighted mean of their
log-probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from inference.backends.base import Backend
from inference.backends.table import SHIPPED_CHECKPOINTS, load_backend, read_members
from inference.checkpoint import OPERATING_POINT_FILE, read_operating_point
from inference.crop import CropContract
from inference.errors import CheckpointError
from inference.files import read_json
from inference.prediction import (
    MOST_PROBABLE,
    PASSED_ON,
    OperatingPoint,
    Prediction,
    prediction_from_probabilities,
)

#: What ``python -m finetune.calibrate --backend cascade`` writes, with the operating point beside it.
THRESHOLDS_FILE = "cascade.json"
SHIPPED_FOLDER = SHIPPED_CHECKPOINTS / "cascade"
#: Least probability, so that one member cannot forbid a label.
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Thresholds:
    """When the small model's answer stands, and how the two are joined where it does not.

    Attributes:
        accept: From this probability of its best label on, the small model's label stands.
        refuse: From this probability of "no word of the vocabulary" on, its refusal stands.
        first_weight: Its share in the mean of the log-probabilities otherwise, 0 to 1.
    """

    accept: float
    refuse: float
    first_weight: float

    def __post_init__(self) -> None:
        if not (self.accept > 0 and self.refuse > 0 and 0 <= self.first_weight <= 1):
            raise CheckpointError(f"{self}: expected thresholds above 0 and a weight from 0 to 1.")

    def leave_open(self, prediction: Prediction) -> bool:
        """Whether the small model is in doubt."""
        assert prediction.score is not None
        assert prediction.none_probability is not None
        return prediction.score < self.accept and prediction.none_probability < self.refuse


class CascadeBackend(Backend):
    """Asks the first of two classifiers, and the second where the first is in doubt.

    Answers that the second had a part in carry the reason ``PASSED_ON``.

    Args:
        first: The small model.
        second: The large one.
        thresholds: When to ask it.
        operating_point: Of the joint answer.
    """

    def __init__(
        self,
        first: Backend,
        second: Backend,
        thresholds: Thresholds,
        operating_point: OperatingPoint = MOST_PROBABLE,
    ):
        self.first, self.second = first, second
        self.operating_point = operating_point
        self._thresholds = thresholds
        contracts = (first.crop_contract, second.crop_contract)
        self.crop_contract = CropContract(
            pre_ms=max(contract.pre_ms for contract in contracts),
            post_ms=max(contract.post_ms for contract in contracts),
            min_ms=max(contract.min_ms for contract in contracts),
        )
        self.num_parameters = sum(member.num_parameters or 0 for member in (first, second))
        self.checkpoint_files = (*first.checkpoint_files, *second.checkpoint_files)

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "CascadeBackend":
        """Loads two members named ``NAME`` or ``NAME=CHECKPOINT``, joined by "+", the small one first.

        The thresholds are those shipped for the default pair.

        Raises:
            CheckpointError: If not two are named, or one cannot be loaded.
        """
        members = read_members(checkpoint)
        if len(members) != 2:
            raise CheckpointError(
                f"a cascade of {checkpoint!r}: expected two, such as speech-embedding+whisper."
            )
        first, second = (load_backend(name, folder, threads) for name, folder in members)
        operating_point = read_operating_point(SHIPPED_FOLDER)
        backend = cls(first, second, read_thresholds(SHIPPED_FOLDER), operating_point)
        own = (SHIPPED_FOLDER / THRESHOLDS_FILE, SHIPPED_FOLDER / OPERATING_POINT_FILE)
        backend.checkpoint_files = (*backend.checkpoint_files, *own)
        return backend

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``Backend.predict``.

        Raises:
            CheckpointError: If a member gives no probabilities, or knows no class for other sounds.
        """
        predictions = self.first.predict(waveforms)
        logarithms = [log_probabilities(prediction) for prediction in predictions]
        open_rows = [row for row, found in enumerate(predictions) if self._thresholds.leave_open(found)]
        asked = self.second.predict([waveforms[row] for row in open_rows]) if open_rows else []
        weight = self._thresholds.first_weight
        for row, prediction in zip(open_rows, asked, strict=True):
            logarithms[row] = weight * logarithms[row] + (1 - weight) * log_probabilities(prediction)
        passed_on = set(open_rows)
        return [
            replace(self._joint_prediction(row), reason=PASSED_ON if number in passed_on else None)
            for number, row in enumerate(logarithms)
        ]

    def _joint_prediction(self, logarithms: np.ndarray) -> Prediction:
        temperature = self.operating_point.temperature
        exponentials = np.exp((logarithms - logarithms.max()) / temperature)
        return prediction_from_probabilities(exponentials / exponentials.sum())


def log_probabilities(prediction: Prediction) -> np.ndarray:
    """Of the labels and of none of them, ``(num_labels + 1,)``.

    Raises:
        CheckpointError: If the backend knows no such probabilities.
    """
    if prediction.probabilities is None or prediction.none_probability is None:
        raise CheckpointError(
            "a cascade needs members that give a probability per label and one for other sounds: fit "
            "them with --reject, and leave Whisper's decode=free out."
        )
    values = (*prediction.probabilities, prediction.none_probability)
    return np.log(np.maximum(values, _LEAST_PROBABILITY))


def read_thresholds(folder: Path) -> Thresholds:
    """Reads ``cascade.json``.

    Raises:
        CheckpointError: If it is missing or damaged.
    """
    path = folder / THRESHOLDS_FILE
    values = read_json(path)
    names = {field.name for field in fields(Thresholds)}
    if not isinstance(values, dict) or set(values) != names:
        raise CheckpointError(f"{path} should hold {', '.join(sorted(names))}; calibrate the cascade again.")
    return Thresholds(**values)
