"""Clips as a torch dataset, decoded once and varied anew in every epoch, and the batches made of them."""

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import (
    SequenceFeatureExtractor,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from finetune.augmentation import (
    MAX_BABBLE_VOICES,
    AugmentationSettings,
    SpeedDraw,
    augment,
    clip_generator,
    draw_speed,
)
from finetune.corpus.clip import Clip
from finetune.soft_labels import SoftLabeller
from inference.audio import SAMPLING_RATE
from inference.crop import CropContract, prepare
from inference.vocabulary import vocabulary


class ClipDataset(Dataset):
    """Waveforms and label ids, or the probabilities of soft labels.

    Args:
        clips: What to serve.
        waveforms: Clip id -> decoded waveform, see ``WaveformCache``.
        contract: Crop contract of the model being trained.
        augmentation: Ranges to draw from, or None to serve the clips as they are.
        seed: Seed of the augmentation.
        classes: The names of the model's outputs, in order; the labels if None.
        soft_labeller: Hears each variation and adds to its label; None for label ids alone.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        waveforms: Mapping[str, np.ndarray],
        contract: CropContract,
        augmentation: AugmentationSettings | None = None,
        seed: int = 0,
        classes: Sequence[str] | None = None,
        soft_labeller: SoftLabeller | None = None,
    ):
        self._soft_labeller = soft_labeller
        self._clips = clips
        self._waveforms = waveforms
        self._contract = contract
        self._augmentation = augmentation
        self._seed = seed
        self._label_ids = {label: label_id for label_id, label in enumerate(classes or vocabulary().labels)}
        # Shared with loader workers, which are forked before the first epoch ends.
        self._epoch = multiprocessing.Value("i", 0)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, row: int) -> dict[str, Any]:
        clip = self._clips[row]
        waveform = self._waveforms[clip.clip_id]
        if self._augmentation is not None:
            generator = clip_generator(self._seed, self.epoch, clip.clip_id)
            waveform = self._vary(clip, self._augmentation, generator)
        label: Any = self._label_ids[clip.label]
        if self._soft_labeller is not None:
            label = self._soft_labeller.label([waveform], [label])[0]
        return {"input_values": prepare(waveform, self._contract), "labels": label}

    def _vary(
        self, clip: Clip, augmentation: AugmentationSettings, generator: np.random.Generator
    ) -> np.ndarray:
        drawn = (self._clips[row] for row in self._draw_voices(generator))
        others = [self._waveforms[other.clip_id] for other in drawn if other.speaker != clip.speaker]
        return augment(self._waveforms[clip.clip_id], augmentation, generator, others)

    def _draw_voices(self, generator: np.random.Generator) -> np.ndarray:
        """Rows of clips for babble: the first draw from a clip's generator."""
        return generator.integers(len(self), size=MAX_BABBLE_VOICES)

    @property
    def lengths(self) -> list[int]:
        """About the samples of each clip as the present epoch varies it."""
        sizes = [self._waveforms[clip.clip_id].size for clip in self._clips]
        if self._augmentation is None:
            return sizes
        return [self.draw_speed(row).num_samples(size, self._augmentation) for row, size in enumerate(sizes)]

    def draw_speed(self, row: int) -> SpeedDraw:
        """What the present epoch draws first for a clip, of a dataset that varies."""
        assert self._augmentation is not None
        generator = clip_generator(self._seed, self.epoch, self._clips[row].clip_id)
        self._draw_voices(generator)
        return draw_speed(self._augmentation, generator)

    @property
    def epoch(self) -> int:
        """Which epoch's variations are served."""
        return self._epoch.value

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch's variations."""
        self._epoch.value = epoch


def has_window(feature_extractor: SequenceFeatureExtractor) -> bool:
    """Whether the encoder is given a window of one length, whatever the clip's."""
    return "input_features" in feature_extractor.model_input_names


@dataclass(frozen=True)
class WaveformCollator:
    """What an encoder is given of a batch: waveforms padded to the longest, or log-mel windows of one length.

    The attention mask is present exactly where the checkpoint's feature extractor asks for one:
    encoders with layer norm need it, those with group norm (wav2vec2-base) were trained without.

    Attributes:
        feature_extractor: The checkpoint's own.
    """

    feature_extractor: SequenceFeatureExtractor

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Returns what the encoder takes, and ``labels``.

        That is ``input_values`` ``(batch, num_samples)`` and the mask, if any, or ``input_features``
        ``(batch, n_mels, num_frames)``.

        Labels are ids ``(batch,)``, or what else a data set gives of each clip.
        """
        batch = self.feature_extractor(
            [example["input_values"] for example in examples],
            sampling_rate=SAMPLING_RATE,
            padding="max_length" if has_window(self.feature_extractor) else True,
            return_tensors="pt",
        )
        labels = torch.as_tensor(np.array([example["labels"] for example in examples]))
        return {**batch, "labels": labels}


class EpochAnnouncer(TrainerCallback):
    """Tells the training clips which epoch begins.

    accelerate's data loader does so only where a single process trains: with several it tells the
    sampler instead of the dataset.

    Args:
        clips: The clips that vary by epoch.
    """

    def __init__(self, clips: ClipDataset):
        self._clips = clips

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called before the epoch's first batch is drawn."""
        self._clips.set_epoch(int(state.epoch or 0))
