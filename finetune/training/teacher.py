"""Teachers of pretraining: what a large network hears in a word, frame by frame."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, SequenceFeatureExtractor

from finetune.baselines.speech_embedding import N_MELS, NUM_FRAMES, SpeechEmbedding
from finetune.training.clip_dataset import has_window
from finetune.training.modeling import load_encoder
from inference.audio import SAMPLING_RATE
from inference.errors import CheckpointError, UserError
from inference.features import HOP_SAMPLES, STANDARDISE_EPSILON, BandSettings, log_mel

#: The teacher that is no Hugging Face encoder.
SPEECH_EMBEDDING = "speech-embedding"
#: Silence before and after a word: what was trained on sentences wants a lead, and a student is
#: given words in the midst of background.
SURROUND_SAMPLES = SAMPLING_RATE * 150 // 1000
#: Frames of 10 ms from one embedding to the next; each looks at three quarters of a second.
EMBEDDING_STEP = 16
EMBEDDING_BANDS = BandSettings(n_mels=N_MELS, floor_db=60.0, trim=False)


@dataclass(frozen=True)
class FrameGrid:
    """Where in a waveform the frames of an encoder lie.

    Attributes:
        middle: Sample in the middle of the first frame.
        hop: Samples from one frame to the next.
        width: Samples that a frame looks at.
    """

    middle: float
    hop: int
    width: int = 1

    @classmethod
    def of_convolutions(cls, kernel_sizes: Sequence[int], strides: Sequence[int]) -> "FrameGrid":
        """Of an encoder whose convolutions take a waveform without padding."""
        width = 1 + sum((size - 1) * math.prod(strides[:layer]) for layer, size in enumerate(kernel_sizes))
        return cls((width - 1) / 2, math.prod(strides), width)

    def num_frames(self, num_samples: int) -> int:
        """Whole frames in a waveform."""
        return (num_samples - self.width) // self.hop + 1

    def middles(self, num_frames: int) -> np.ndarray:
        """The sample in the middle of each frame, ``(num_frames,)``."""
        return self.middle + self.hop * np.arange(num_frames)

    def read_at(self, frames: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """Frames ``(num_frames, size)`` interpolated at other places, ``(len(samples), size)``."""
        place = np.clip((samples - self.middle) / self.hop, 0, len(frames) - 1)
        lower = np.minimum(place.astype(int), max(len(frames) - 2, 0))
        part = (place - lower).astype(np.float32)[:, None]
        upper = np.minimum(lower + 1, len(frames) - 1)
        return frames[lower] * (1 - part) + frames[upper] * part


class Teacher(Protocol):
    """What a student is to hear as.

    Attributes:
        grid: Of its frames, in samples of the word.
    """

    grid: FrameGrid

    def hear(self, waveform: np.ndarray) -> np.ndarray:
        """Its frames of a word ``(num_samples,)`` at 16 kHz, float32 ``(num_frames, size)``."""


def load_teacher(name: str, layer: int | None = None) -> Teacher:
    """Loads a teacher.

    Args:
        name: ``SPEECH_EMBEDDING``, or a Hub id or folder of a speech encoder of transformers.
        layer: The layer whose output is taught, from 1; the last one's if None.

    Raises:
        CheckpointError: If its weights cannot be had.
        UserError: If it has no such layer.
    """
    if name != SPEECH_EMBEDDING:
        return EncoderTeacher(*load_encoder(name, "--teacher"), layer)
    if layer is not None:
        raise UserError(f"--teacher-layer goes with a Hugging Face encoder, not with {SPEECH_EMBEDDING}.")
    return EmbeddingTeacher()


class EncoderTeacher:
    """A speech encoder of transformers, of waveforms or of Whisper's windows.

    Args:
        encoder: The network.
        feature_extractor: Its own.
        layer: See ``load_teacher``.
    """

    def __init__(
        self, encoder: PreTrainedModel, feature_extractor: SequenceFeatureExtractor, layer: int | None
    ):
        grid = frame_grid(encoder)
        num_layers = len(_layers(encoder))
        if layer is not None and not 1 <= layer <= num_layers:
            raise UserError(
                f"--teacher-layer {layer}: {type(encoder).__name__} has layers 1 to {num_layers}."
            )
        self.grid = FrameGrid(grid.middle - SURROUND_SAMPLES, grid.hop, grid.width)
        self._encoder = encoder.eval()
        self._feature_extractor = feature_extractor
        self._layer = layer

    @torch.inference_mode()
    def hear(self, waveform: np.ndarray) -> np.ndarray:
        """See ``Teacher.hear``."""
        padded = np.pad(waveform, SURROUND_SAMPLES)
        inputs = self._feature_extractor(
            padded,
            sampling_rate=SAMPLING_RATE,
            padding="max_length" if has_window(self._feature_extractor) else True,
            return_tensors="pt",
        )
        told = self._encoder(**inputs, output_hidden_states=self._layer is not None)
        frames = told.last_hidden_state if self._layer is None else told.hidden_states[self._layer]
        return frames[0, : self.grid.num_frames(padded.size)].numpy()


class EmbeddingTeacher:
    """Google's speech embedding of the window around each place."""

    def __init__(self) -> None:
        self.grid = FrameGrid(-SURROUND_SAMPLES, EMBEDDING_STEP * HOP_SAMPLES)
        self._embedding = SpeechEmbedding(1, N_MELS).eval()

    @torch.inference_mode()
    def hear(self, waveform: np.ndarray) -> np.ndarray:
        """See ``Teacher.hear``."""
        bands = log_mel(np.pad(waveform, SURROUND_SAMPLES), EMBEDDING_BANDS)
        bands = np.pad(bands, ((NUM_FRAMES // 2,) * 2, (0, 0)), constant_values=bands.min())
        bands = (bands - bands.mean()) / (bands.std() + STANDARDISE_EPSILON)
        windows = torch.from_numpy(bands).unfold(0, NUM_FRAMES, EMBEDDING_STEP)
        return self._embedding.embed(windows.transpose(1, 2).unsqueeze(1)).numpy()


def frame_grid(encoder: PreTrainedModel) -> FrameGrid:
    """Where an encoder's frames lie.

    Raises:
        CheckpointError: If its configuration does not say.
    """
    config: Any = encoder.config
    if config.model_type == "whisper":
        return FrameGrid(0, 2 * HOP_SAMPLES)  # its second convolution takes every other frame of 10 ms
    if not getattr(config, "conv_kernel", None):
        raise CheckpointError(
            f"{type(encoder).__name__} has no convolutions over the waveform, so where its frames lie is not "
            "known. Choose a Wav2Vec2, HuBERT, WavLM or Whisper."
        )
    return FrameGrid.of_convolutions(config.conv_kernel, config.conv_stride)


def _layers(encoder: Any) -> nn.ModuleList:
    return encoder.layers if encoder.config.model_type == "whisper" else encoder.encoder.layers
