"""What every runtime offers."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np

from inference.errors import CheckpointError


class EncoderRuntime(ABC):
    """A loaded classifier.

    Attributes:
        device: "cpu", or the name of the accelerator that computes.
        length_step: Waveforms are padded to a multiple of this many samples, so that few shapes occur.
        max_batch: Most clips of one call; 1 where a batch is no faster than its clips.
    """

    device: str = "cpu"
    length_step: ClassVar[int] = 1
    max_batch: int = 1

    @abstractmethod
    def logits(self, input_values: np.ndarray, num_samples: np.ndarray) -> np.ndarray:
        """Classifies a padded batch.

        Args:
            input_values: Float32, ``(batch, max_samples)``, normalised, padded with zeros at the end; or
                log-mel, ``(batch, n_mels, num_frames)``.
            num_samples: Int64, ``(batch,)``: each clip's own length.

        Returns:
            Float32 logits, ``(batch, num_labels)``.
        """


def unusable(path: Path, error: Exception) -> CheckpointError:
    """The refusal of a converted model that a library cannot load."""
    reason = str(error).strip().partition("\n")[0]
    return CheckpointError(f"{path} cannot be loaded: {reason} Remove it, or export it again.")
