"""A raw-waveform encoder that is taught the speech embedding, and what it is taught."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel

from finetune.baselines.speech_embedding import N_MELS, NUM_FRAMES, SpeechEmbedding
from inference.features import WindowSettings, log_mel_window

#: The embedding sees a window; it is taken this many frames before the middle, there, and after it, so
#: that what is taught keeps the order of sounds.
SHIFTS = (-16, 0, 16)
LEAST_DEVIATION = 1e-3


class EmbeddingStudent(nn.Module):
    """An encoder whose mean output tells the embeddings of a word.

    Args:
        encoder: Of raw waveforms.
        num_values: What is told.
    """

    def __init__(self, encoder: PreTrainedModel, num_values: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_values)

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Waveforms ``(batch, num_samples)`` to ``logits`` ``(batch, num_values)``."""
        frames = self.encoder(input_values, attention_mask=attention_mask).last_hidden_state
        if attention_mask is None:
            return {"logits": self.head(frames.mean(dim=1))}
        mask = self.encoder._get_feature_vector_attention_mask(frames.shape[1], attention_mask)
        weights = mask.unsqueeze(-1).to(frames.dtype)
        return {"logits": self.head((frames * weights).sum(dim=1) / weights.sum(dim=1))}


def regression_loss(
    outputs: dict[str, torch.Tensor], labels: torch.Tensor, num_items_in_batch: torch.Tensor | None
) -> torch.Tensor:
    """Mean squared difference, over all values of an optimizer step."""
    squares = (outputs["logits"] - labels).square().sum()
    return squares / (labels.numel() if num_items_in_batch is None else num_items_in_batch)


def load_teacher() -> SpeechEmbedding:
    """The published embedding.

    Raises:
        CheckpointError: If the pretrained weights are not installed.
    """
    return SpeechEmbedding(1, N_MELS).eval()


@torch.inference_mode()
def embeddings(teacher: SpeechEmbedding, waveforms: Sequence[np.ndarray]) -> np.ndarray:
    """The speech embedding of each word at each of ``SHIFTS``, standardised over the words.

    Args:
        teacher: From ``load_teacher``.
        waveforms: Words, ``(num_samples,)`` at 16 kHz.

    Returns:
        Float32 matrix ``(num_words, num_values)``.
    """
    # Standardised as a whole: the parts keep their levels relative to each other.
    settings = WindowSettings(n_mels=N_MELS, num_frames=NUM_FRAMES + SHIFTS[-1] - SHIFTS[0], floor_db=60.0)
    rows = []
    for waveform in tqdm(waveforms, desc="embeddings", unit="word", disable=None):
        window = torch.from_numpy(log_mel_window(waveform, settings))
        parts = [window[shift - SHIFTS[0] :][:NUM_FRAMES] for shift in SHIFTS]
        rows.append(teacher.embed(torch.stack(parts).unsqueeze(1)).flatten().numpy())
    matrix = np.stack(rows)
    return (matrix - matrix.mean(axis=0)) / np.maximum(matrix.std(axis=0), LEAST_DEVIATION)
