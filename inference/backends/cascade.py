"""A small model first, a large one only where the small one is in doubt.

(A cascade of classifiers; Viola and Jones 2001, https://doi.org/10.1109/CVPR.2001.990517.) Most words
cost what the small model costs. What is passed on is decided by both, by the mean of their
log-probabilities as in ``ensemble``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from inference.backends.base import Backend
from inference.backends.ensemble import joint, log_probabilities, normalised, widest_crop
from inference.backends.table import SHIPPED_CHECKPOINTS, calibration_folder, load_backend, read_members
from inference.checkpoint import OPERATING_POINT_FILE, read_operating_point
from inference.errors import CheckpointError
from inference.files import read_json
from inference.prediction import MOST_PROBABLE, PASSED_ON, OperatingPoint, Prediction

#: What ``python -m finetune.calibrate --backend cascade`` writes, with the operating point beside it.
THRESHOLDS_FILE = "cascade.json"
SHIPPED_FOLDER = SHIPPED_CHECKPOINTS / "cascade"


@dataclass(frozen=True)
class Thresholds:
    """When the small model's answer stands.

    Attributes:
        accept: From this probability of its best label on, the small model's label stands.
        refuse: From this probability of "no word of the vocabulary" on, its refusal stands.
    """

    accept: float
    refuse: float

    def __post_init__(self) -> None:
        if not (self.accept > 0 and self.refuse > 0):
            raise CheckpointError(f"{self}: expected thresholds above 0.")

    def leave_open(self, prediction: Prediction) -> bool:
        """Whether the small model is in doubt."""
        return (prediction.score or 0.0) < self.accept and (prediction.none_probability or 0.0) < self.refuse


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
        self.crop_contract = widest_crop((first, second))
        self.num_parameters = sum(member.num_parameters or 0 for member in (first, second))
        self.checkpoint_files = (*first.checkpoint_files, *second.checkpoint_files)

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "CascadeBackend":
        """Loads two members, the small one first, see ``read_members``.

        A pair that was not calibrated together gets the thresholds of the default pair and no operating
        point.

        Raises:
            CheckpointError: If not two are named, or one cannot be loaded.
        """
        members = read_members(checkpoint)
        if len(members) != 2:
            raise CheckpointError(
                f"a cascade of {checkpoint!r}: expected two, such as speech-embedding+whisper."
            )
        first, second = (load_backend(name, folder, threads) for name, folder in members)
        folder = calibration_folder("cascade", checkpoint)
        operating_point = read_operating_point(folder) if folder else MOST_PROBABLE
        folder = folder or SHIPPED_FOLDER
        backend = cls(first, second, read_thresholds(folder), operating_point)
        own = (folder / THRESHOLDS_FILE, folder / OPERATING_POINT_FILE)
        backend.checkpoint_files = (*backend.checkpoint_files, *own)
        return backend

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``Backend.predict``.

        Raises:
            CheckpointError: If a member gives no probabilities.
        """
        answers = self.first.predict(waveforms)
        rows = [log_probabilities(answer) for answer in answers]
        passed_on = [place for place, answer in enumerate(answers) if self._thresholds.leave_open(answer)]
        seconds = self.second.predict([waveforms[place] for place in passed_on]) if passed_on else []
        for place, second in zip(passed_on, seconds, strict=True):
            rows[place] = joint([rows[place], log_probabilities(second)])
        predictions = [normalised(row / self.operating_point.temperature) for row in rows]
        for place in passed_on:
            predictions[place] = replace(predictions[place], reason=PASSED_ON)
        return predictions


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
