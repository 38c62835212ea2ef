"""A small encoder of raw waveforms is taught what a large one hears: its lessons and its training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel, SequenceFeatureExtractor, TrainingArguments, set_seed

from finetune.augmentation import AugmentationSettings
from finetune.checkpoint.writer import claim_folder, prepare_folder, written_whole
from finetune.corpus.clip import Clip
from finetune.corpus.splits import fingerprint
from finetune.training.clip_dataset import ClipDataset, WaveformCollator
from finetune.training.clip_trainer import ClipTrainer
from finetune.training.lessons import Lessons
from finetune.training.modeling import random_encoder
from finetune.training.resumption import last_checkpoint, remove_checkpoints, write_failures_explained
from finetune.training.teacher import SURROUND_SAMPLES, FrameGrid, Teacher, frame_grid, load_teacher
from finetune.training.waveform_cache import WaveformCache
from inference.audio import SAMPLING_RATE
from inference.crop import CropContract
from inference.files import write_text
from inference.vocabulary import REJECT_LABEL, vocabulary

LEAST_DEVIATION = 1e-3
#: Longer words are cut: they would pad their whole batch, and Whisper hears two seconds.
MAX_WORD_SAMPLES = SAMPLING_RATE * 12 // 10
#: Background before and after a word, and no cut: a frame of the student must find its teacher's.
AUGMENTATION = AugmentationSettings(pad_ms=(0.0, 1000 * SURROUND_SAMPLES / SAMPLING_RATE), max_ms=3000.0)
#: Where nothing is taught. The Trainer counts the values that differ from it.
UNTAUGHT = -100.0
CARD = """---
license: {licence}
tags:
- spoken-digits
---

# A small encoder of raw waveforms, taught what {teacher} hears

The mean squared difference from the teacher's frames, each value of variance 1, was {loss:.3f} in the last
steps. It answers nothing by itself: fine-tune it,
`python -m finetune.train --model FOLDER --freeze_feature_encoder false`.

Learned from {num_clips} clips:

{sources}

```
{command}
```
"""


def distil(
    config: Path,
    teacher: str,
    layer: int | None,
    gather: Callable[[], Lessons],
    folder: Path,
    command: str,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Trains an encoder from random weights and writes it, or goes on where that was interrupted.

    Args:
        config: Architecture of the encoder.
        teacher: See ``load_teacher``, as is the next.
        layer: Which of its layers is taught.
        gather: Gives what is heard; asked for once the teacher is there.
        folder: Where the encoder goes.
        command: What was typed, for the card.
        num_steps: Optimizer steps.
        batch_size: Words of a step.
        learning_rate: Its peak.
        seed: Of weights, order and variations.

    Raises:
        UserError: If the folder holds an encoder already, or an unfinished one of other settings.
        CheckpointError: If architecture or teacher cannot be had.
    """
    heard_by = load_teacher(teacher, layer)
    set_seed(seed)
    encoder, feature_extractor = random_encoder(config)
    grid = frame_grid(encoder)
    masks = encoder.config.apply_spec_augment
    encoder.config.apply_spec_augment = False  # what is hidden cannot be told; fine-tuning masks again
    prepare_folder(folder)
    lessons = gather()
    settings = {
        "teacher": teacher,
        "teacher layer": layer,
        "steps": num_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "architecture": encoder.config.to_diff_dict(),
        "clips": fingerprint(lessons.clips),
    }
    claim_folder(folder, settings)
    cache = WaveformCache(lessons.clips, show_progress=True)
    words = {clip.clip_id: cache[clip.clip_id][:MAX_WORD_SAMPLES] for clip in lessons.clips}
    targets = hear_all(heard_by, words)
    size = next(iter(targets.values())).shape[1]
    trainer = ClipTrainer(
        model=Student(encoder, size),
        args=_training_arguments(folder, num_steps, batch_size, learning_rate, seed),
        train_dataset=TaughtClips(lessons.clips, words, targets, heard_by.grid, grid, seed),
        data_collator=FrameCollator(WaveformCollator(feature_extractor)),
        compute_loss_func=regression_loss,
    )
    with write_failures_explained(folder):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        encoder.config.apply_spec_augment = masks
        loss = next(record["loss"] for record in reversed(trainer.state.log_history) if "loss" in record)
        _write(folder, encoder, feature_extractor, lessons, _card(lessons, teacher, loss, command))
    remove_checkpoints(folder)


def _training_arguments(
    folder: Path, num_steps: int, batch_size: int, learning_rate: float, seed: int
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=num_steps,
        per_device_train_batch_size=batch_size,
        learning_rate=learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.15,
        weight_decay=0.02,
        train_sampling_strategy="group_by_length",
        logging_steps=min(100, num_steps),
        save_steps=max(num_steps // 10, 1),
        save_total_limit=1,
        seed=seed,
        report_to="none",
        remove_unused_columns=False,  # the labels are no argument of the network
    )


def _card(lessons: Lessons, teacher: str, loss: float, command: str) -> str:
    lines = [
        f"- {source.description}" + "".join(f"\n  > {line}" for line in source.notice.splitlines())
        for source in lessons.sources
    ]
    return CARD.format(
        licence="apache-2.0" if len(lessons.sources) == 1 else "other",  # that of recordings is theirs
        teacher=Path(teacher).name if Path(teacher).is_dir() else teacher,
        loss=loss,
        num_clips=len(lessons.clips),
        sources="\n".join(lines),
        command=command,
    )


def _write(
    folder: Path,
    encoder: PreTrainedModel,
    feature_extractor: SequenceFeatureExtractor,
    lessons: Lessons,
    card: str,
) -> None:
    with written_whole(folder) as unfinished:
        encoder.save_pretrained(unfinished)
        feature_extractor.save_pretrained(unfinished)
        lessons.card().write(unfinished)
        write_text(unfinished / "README.md", card)


def hear_all(teacher: Teacher, words: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the teacher hears in each word, standardised over all frames.

    Args:
        teacher: From ``load_teacher``.
        words: Clip id -> waveform ``(num_samples,)`` at 16 kHz.

    Returns:
        Clip id -> float16 matrix ``(num_frames, size)``: there may be a million frames.
    """
    bar = tqdm(words.items(), desc="teacher", unit="word", disable=None)
    heard = {clip_id: teacher.hear(waveform).astype(np.float16) for clip_id, waveform in bar}
    count = sum(map(len, heard.values()))
    mean = sum(frames.sum(axis=0, dtype=np.float64) for frames in heard.values()) / count
    squares = sum(np.square(frames - mean).sum(axis=0) for frames in heard.values()) / count
    deviation = np.maximum(np.sqrt(squares), LEAST_DEVIATION)
    return {clip_id: ((frames - mean) / deviation).astype(np.float16) for clip_id, frames in heard.items()}


class TaughtClips(ClipDataset):
    """Varied words, and what the teacher heard at each place of the word as it was.

    Knowledge distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531): noise, room, voice and
    speed are the student's alone.

    Args:
        clips: What is taught.
        words: Clip id -> waveform.
        targets: From ``hear_all``.
        teacher_grid: Of the targets' frames, in samples of the word.
        student_grid: Of the student's frames, in samples of the variation.
        seed: Of the variations.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        words: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
        teacher_grid: FrameGrid,
        student_grid: FrameGrid,
        seed: int,
    ):
        super().__init__(
            clips, words, CropContract(), AUGMENTATION, seed, classes=(*vocabulary().labels, REJECT_LABEL)
        )
        self._targets = targets
        self._teacher_grid = teacher_grid
        self._student_grid = student_grid

    def __getitem__(self, row: int) -> dict[str, Any]:
        waveform = super().__getitem__(row)["input_values"]
        drawn = self.draw_speed(row)
        middles = self._student_grid.middles(self._student_grid.num_frames(len(waveform)))
        places = (middles - drawn.samples_before) * drawn.speed
        frames = self._targets[self._clips[row].clip_id]
        return {"input_values": waveform, "labels": self._teacher_grid.read_at(frames, places)}


@dataclass(frozen=True)
class FrameCollator:
    """A batch of words and of frames to tell, ``labels`` ``(batch, num_frames, size)``.

    Attributes:
        collate: Of the words.
    """

    collate: WaveformCollator

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """What the encoder takes, and the labels; ``UNTAUGHT`` beyond the end of a word."""
        batch = self.collate([{**example, "labels": 0} for example in examples])
        frames = [torch.from_numpy(example["labels"]) for example in examples]
        return {**batch, "labels": nn.utils.rnn.pad_sequence(frames, True, UNTAUGHT)}


class Student(nn.Module):
    """An encoder whose frames tell the teacher's.

    Args:
        encoder: Of raw waveforms.
        size: Values of a frame that are told.
    """

    def __init__(self, encoder: PreTrainedModel, size: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, size)

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Waveforms ``(batch, num_samples)`` to ``logits`` ``(batch, num_frames, size)``."""
        return {"logits": self.head(self.encoder(input_values, attention_mask=attention_mask)[0])}


def regression_loss(
    outputs: dict[str, torch.Tensor], labels: torch.Tensor, num_items_in_batch: torch.Tensor | None
) -> torch.Tensor:
    """Mean squared difference, over all values of an optimizer step that are taught."""
    taught = labels != UNTAUGHT
    squares = ((outputs["logits"] - labels) * taught).square().sum()
    return squares / (taught.sum() if num_items_in_batch is None else num_items_in_batch)
