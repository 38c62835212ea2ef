"""The classifier in torch: the reference, and the only way onto a GPU."""

import numpy as np
import torch

from inference.backends.encoder.classifier import EncoderClassifier
from inference.backends.encoder.runtime import EncoderRuntime

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchRuntime(EncoderRuntime):
    """Runs the module as it is, with its weights cast once.

    Args:
        classifier: The network.
        precision: ``fp32`` or ``bf16``.
        threads: CPU threads of one prediction.
    """

    def __init__(self, classifier: EncoderClassifier, precision: str = "fp32", threads: int = 1):
        torch.set_num_threads(threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = _DTYPES[precision]
        self._classifier = classifier.eval().to(self._device, self._dtype)
        if self._device.type == "cuda":
            self.device = torch.cuda.get_device_name()
        self.max_batch = 64 if self._device.type == "cuda" else 8
        self._pads = classifier.pads_exactly

    @torch.inference_mode()
    def logits(self, input_values: np.ndarray, num_samples: np.ndarray) -> np.ndarray:
        """See ``EncoderRuntime.logits``."""
        batch = torch.from_numpy(input_values).to(self._device, self._dtype, non_blocking=True)
        lengths = torch.from_numpy(num_samples).to(self._device, non_blocking=True)
        # Clips of one length need no masks.
        padded = self._pads and bool((num_samples != input_values.shape[1]).any())
        logits = self._classifier(batch, lengths if padded else None)
        return logits.float().cpu().numpy()
