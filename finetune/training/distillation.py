"""A raw-waveform encoder is taught the speech embedding: the teacher's answers, the student, its training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel, TrainingArguments, Wav2Vec2FeatureExtractor, set_seed

from finetune.augmentation import AugmentationSettings
from finetune.baselines.speech_embedding import N_MELS, NUM_FRAMES, SpeechEmbedding
from finetune.checkpoint.writer import claim_folder, prepare_folder
from finetune.corpus.non_words import spoken_words
from finetune.corpus.splits import fingerprint
from finetune.corpus.synthetic import training_voices
from finetune.training.clip_dataset import ClipDataset, WaveformCollator
from finetune.training.clip_trainer import ClipTrainer
from finetune.training.modeling import random_encoder
from finetune.training.resumption import last_checkpoint, remove_checkpoints, write_failures_explained
from finetune.training.waveform_cache import WaveformCache
from inference.crop import CropContract
from inference.errors import UserError
from inference.features import WindowSettings, log_mel_window

#: The embedding sees a window; it is taken this many frames before the middle, there, and after it, so
#: that what is taught keeps the order of sounds.
SHIFTS = (-16, 0, 16)
LEAST_DEVIATION = 1e-3
#: Spoken takes of each label of the vocabulary beside the other words.
TAKES_PER_LABEL = 300
CARD = """---
license: apache-2.0
tags:
- spoken-digits
---

# A small encoder of raw waveforms, taught Google's speech embedding

Made of {num_clips} words of synthetic voices (espeak-ng), no recording; the mean squared difference from the
embeddings, each of variance 1, was {loss:.3f} in the last steps. It answers nothing by itself: fine-tune it,
`python -m finetune.train --model FOLDER --freeze_feature_encoder false`.

```
{command}
```
"""


def distil(
    config: Path,
    folder: Path,
    command: str,
    num_words: int,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Trains an encoder from random weights and writes it, or goes on where that was interrupted.

    Args:
        config: Architecture of the encoder.
        folder: Where it goes.
        command: What was typed, for the card.
        num_words: Other words to learn from beside the vocabulary's.
        num_steps: Optimizer steps.
        batch_size: Words of a step.
        learning_rate: Its peak.
        seed: Of weights, order and variations.

    Raises:
        UserError: If the folder holds an encoder already, or an unfinished one of other settings.
        CheckpointError: If architecture or teacher cannot be had.
    """
    if (folder / "config.json").is_file():
        raise UserError(f"{folder} holds a pretrained encoder; remove it or choose another --output_dir.")
    teacher = load_teacher()
    set_seed(seed)
    encoder, feature_extractor = random_encoder(config)
    masks = encoder.config.apply_spec_augment
    encoder.config.apply_spec_augment = False  # what is hidden cannot be told; fine-tuning masks again
    prepare_folder(folder)
    clips = (*training_voices(TAKES_PER_LABEL), *spoken_words("train", num_words))
    settings = {
        "words": num_words,
        "steps": num_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "architecture": encoder.config.to_diff_dict(),
        "clips": fingerprint(clips),
    }
    claim_folder(folder, settings)
    waveforms = WaveformCache(clips, show_progress=True)
    targets = embeddings(teacher, [waveforms[clip.clip_id] for clip in clips])
    augmentation = AugmentationSettings(pad_ms=(0.0, 150.0), max_ms=1000.0)
    trainer = ClipTrainer(
        model=EmbeddingStudent(encoder, targets.shape[1]),
        args=_training_arguments(folder, num_steps, batch_size, learning_rate, seed),
        train_dataset=ClipDataset(clips, waveforms, CropContract(), augmentation, seed, targets=targets),
        data_collator=WaveformCollator(feature_extractor),
        compute_loss_func=regression_loss,
    )
    with write_failures_explained(folder):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        encoder.config.apply_spec_augment = masks
        loss = next(record["loss"] for record in reversed(trainer.state.log_history) if "loss" in record)
        card = CARD.format(num_clips=len(clips), loss=loss, command=command)
        _write(folder, encoder, feature_extractor, card)
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
        logging_steps=min(100, num_steps),
        save_steps=500,
        save_total_limit=1,
        seed=seed,
        report_to="none",
        remove_unused_columns=False,  # the labels are no argument of the network
    )


def _write(
    folder: Path, encoder: PreTrainedModel, feature_extractor: Wav2Vec2FeatureExtractor, card: str
) -> None:
    unfinished = folder / "unfinished"
    encoder.save_pretrained(unfinished)
    feature_extractor.save_pretrained(unfinished)
    (unfinished / "README.md").write_text(card, encoding="utf-8")
    # The configuration comes last: its presence says that the encoder is complete.
    for path in sorted(unfinished.iterdir(), key=lambda path: path.name == "config.json"):
        path.replace(folder / path.name)
    unfinished.rmdir()


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
