"""Batches of waveforms as a Wav2Vec2 model expects them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from inference.audio import SAMPLING_RATE


@dataclass(frozen=True)
class WaveformCollator:
    """Normalises each waveform and pads the batch to its longest.

    The attention mask is present exactly where the checkpoint's feature extractor asks for one:
    encoders with layer norm need it, those with group norm (wav2vec2-base) were trained without.

    Attributes:
        feature_extractor: The checkpoint's own.
    """

    feature_extractor: Wav2Vec2FeatureExtractor

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Returns ``input_values`` ``(batch, num_samples)``, the mask if any, and ``labels``.

        Labels are ids ``(batch,)``, or probabilities ``(batch, num_labels)`` where clips are mixed.
        """
        batch = self.feature_extractor(
            [example["input_values"] for example in examples],
            sampling_rate=SAMPLING_RATE,
            padding=True,
            return_tensors="pt",
        )
        labels = torch.as_tensor(np.array([example["labels"] for example in examples]))
        return {**batch, "labels": labels}
