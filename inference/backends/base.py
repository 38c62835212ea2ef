"""What every backend offers: waveforms in, predictions out, and what a benchmark must know of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from inference.crop import CropContract
from inference.prediction import MOST_PROBABLE, OperatingPoint, Prediction


class Backend(ABC):
    """A registered way to turn waveforms into labels.

    Attributes:
        crop_contract: The audio this backend wants around a detected word.
        num_parameters: Number of stored values of the model, None where it cannot be counted.
        checkpoint_files: The files that must be shipped to run it.
        operating_point: When a prediction is shown, as calibrated with the checkpoint: ``predict`` answers
            regardless, ``operating_point.decide`` gives what a user is shown.
        device: "cpu", or the name of the accelerator that computes.
        arithmetic: The narrowest type that most of it multiplies in: float32, bfloat16 or int8.
    """

    crop_contract: CropContract = CropContract()
    num_parameters: int | None = None
    checkpoint_files: tuple[Path, ...] = ()
    operating_point: OperatingPoint = MOST_PROBABLE
    device: str = "cpu"
    arithmetic: str = "float32"
    #: Text recognisers that saw no training clip of the task.
    zero_shot: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Backend":
        """Loads a checkpoint.

        A backend with options of its own takes them as further keyword arguments.

        Args:
            checkpoint: A folder, or where the backend supports it a Hub id or model size.
            threads: CPU threads that one prediction may use.

        Raises:
            CheckpointError: If the checkpoint is missing, incomplete or of another vocabulary.
            BackendUnavailableError: If weights or a package cannot be had here.
        """

    @abstractmethod
    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Recognises waveforms that passed ``inference.audio.check_waveform``.

        Args:
            waveforms: Float32 arrays of shape ``(num_samples,)`` at 16 kHz.

        Returns:
            One prediction per waveform, in the same order.
        """

    def multiply_accumulates(self, num_samples: int) -> int | None:
        """Multiplications with addition for one waveform of that length, features included.

        None where the work is not known or depends on what is said.
        """
        return None

    @property
    def checkpoint_bytes(self) -> int | None:
        """Bytes on disk of ``checkpoint_files``; None where the files are not known."""
        if not self.checkpoint_files:
            return None
        return sum(path.stat().st_size for path in self.checkpoint_files)
