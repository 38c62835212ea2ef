"""Clips as a torch dataset: decoded once, varied anew in every epoch."""

import multiprocessing
from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.augmentation import AugmentationSettings, augment, clip_generator
from finetune.corpus.clip import Clip
from inference.crop import CropContract, prepare
from inference.labels import label2id


class ClipDataset(Dataset):
    """Waveforms and label ids, held in memory.

    Args:
        clips: What to serve.
        contract: Crop contract of the model being trained.
        augmentation: Ranges to draw from, or None to serve the clips as they are.
        seed: Seed of the augmentation.
        show_progress: Whether decoding draws a progress bar.

    Raises:
        CorpusError: If a clip cannot be decoded.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        contract: CropContract,
        augmentation: AugmentationSettings | None = None,
        seed: int = 0,
        show_progress: bool = False,
    ):
        self._clips = clips
        self._contract = contract
        self._augmentation = augmentation
        self._seed = seed
        # Shared with loader workers, which are forked before the first epoch ends.
        self._epoch = multiprocessing.Value("i", 0)
        bar = tqdm(clips, desc="decoding", unit="clip", disable=not show_progress)
        self._waveforms = [clip.waveform() for clip in bar]

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, row: int) -> dict[str, Any]:
        clip, waveform = self._clips[row], self._waveforms[row]
        if self._augmentation is not None:
            generator = clip_generator(self._seed, self._epoch.value, clip.clip_id)
            waveform = augment(waveform, self._augmentation, generator)
        return {"input_values": prepare(waveform, self._contract), "labels": label2id[clip.label]}

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
