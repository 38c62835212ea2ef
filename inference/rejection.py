"""Whether an answer is shown or refused: the operating point that travels with a checkpoint.

A closed set of labels has an answer for everything, a cough included. ``calibration.json`` holds the
threshold that was chosen on validation speakers, and the error rates measured there.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from inference.checkpoint import read_json
from inference.errors import CheckpointError

if TYPE_CHECKING:
    from inference.backends.base import Prediction

REJECTION_FILE = "calibration.json"


@dataclass(frozen=True)
class Rejection:
    """An operating point.

    Attributes:
        temperature: Divides the model's logits before the softmax (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599); applied by the backend.
        threshold: The lowest probability of the best label that is shown.
        false_reject_rate: Share of validation digits refused at this threshold; None if it was not measured.
        false_accept_rate: Share of validation sounds without a digit that are shown; None likewise.
        num_digits: Validation digits behind the first rate.
        num_others: Sounds behind the second.
    """

    temperature: float
    threshold: float
    false_reject_rate: float | None = None
    false_accept_rate: float | None = None
    num_digits: int = 0
    num_others: int = 0

    def reason(self, prediction: "Prediction") -> str | None:
        """Why a prediction is refused: ``unknown_class`` or ``low_score``; None if it is shown."""
        none_probability = prediction.none_probability or 0.0
        if prediction.label is None or (prediction.score or 0.0) < none_probability:
            return "unknown_class"
        if prediction.score is not None and prediction.score < self.threshold:
            return "low_score"
        return None


def read_rejection(folder: Path) -> Rejection | None:
    """Reads the operating point of a checkpoint; None if it has none.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = folder / REJECTION_FILE
    if not path.is_file():
        return None
    values = read_json(path)
    names = {field.name for field in fields(Rejection)}
    if not isinstance(values, dict) or set(values) != names:
        raise CheckpointError(
            f"{path} should hold {', '.join(sorted(names))}; calibrate the checkpoint again."
        )
    rejection = Rejection(**values)
    if not (rejection.temperature > 0 and 0 <= rejection.threshold <= 1):
        raise CheckpointError(f"{path}: expected a temperature above 0 and a threshold from 0 to 1.")
    return rejection
