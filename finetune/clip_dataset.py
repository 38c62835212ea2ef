"""Clips as a torch dataset: decoded once, varied anew in every epoch."""

import multiprocessing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.augmentation import AugmentationSettings, augment, clip_generator
from finetune.corpus.clip import Clip
from inference.crop import CropContract, prepare
from inference.labels import label2id


class ClipDataset(Dataset):
    """Waveforms and label ids.

    Args:
        clips: What to serve.
        waveforms: Clip id -> decoded waveform, see ``WaveformCache``.
        contract: Crop contract of the model being trained.
        augmentation: Ranges to draw from, or None to serve the clips as they are.
        seed: Seed of the augmentation.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        waveforms: Mapping[str, np.ndarray],
        contract: CropContract,
        augmentation: AugmentationSettings | None = None,
        seed: int = 0,
    ):
        self._clips = clips
        self._waveforms = waveforms
        self._contract = contract
        self._augmentation = augmentation
        self._seed = seed
        # Shared with loader workers, which are forked before the first epoch ends.
        self._epoch = multiprocessing.Value("i", 0)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, row: int) -> dict[str, Any]:
        clip = self._clips[row]
        waveform = self._waveforms[clip.clip_id]
        if self._augmentation is not None:
            generator = clip_generator(self._seed, self.epoch, clip.clip_id)
            waveform = augment(waveform, self._augmentation, generator)
        return {"input_values": prepare(waveform, self._contract), "labels": label2id[clip.label]}

    @property
    def lengths(self) -> list[int]:
        """Samples of each clip before augmentation."""
        return [self._waveforms[clip.clip_id].size for clip in self._clips]

    @property
    def epoch(self) -> int:
        """Which epoch's variations are served."""
        return self._epoch.value

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch's variations."""
        self._epoch.value = epoch


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
