"""Audio classification as the usual example does it: the yardstick of training throughput.

Every setting is the library's own default: batches of 8 in random order, float32, audio decoded and
normalised anew for each batch, random pieces of at most 20 s, a frozen convolutional encoder.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Audio, Dataset
from transformers import PreTrainedModel, Trainer, TrainingArguments, Wav2Vec2FeatureExtractor

from finetune.corpus.clip import Clip
from inference.audio import SAMPLING_RATE
from inference.vocabulary import vocabulary

MAX_SECONDS = 20.0


def plain_trainer(
    model: PreTrainedModel,
    feature_extractor: Wav2Vec2FeatureExtractor,
    clips: Sequence[Clip],
    output_dir: Path,
    seed: int,
) -> Trainer:
    """A Trainer for one epoch over clips that are files.

    Args:
        model: What to train; the encoder's freezing is the caller's.
        feature_extractor: Normalises and pads.
        output_dir: Where the Trainer may write.
        seed: Seed of the order.
    """
    table = Dataset.from_dict(
        {
            "audio": [str(clip.read()) for clip in clips],
            "label": [vocabulary().label2id[clip.label] for clip in clips],
        }
    ).cast_column("audio", Audio(sampling_rate=SAMPLING_RATE))

    def transform(batch: dict[str, list]) -> dict[str, Any]:
        waveforms = [_piece(audio.get_all_samples().data.numpy().mean(axis=0)) for audio in batch["audio"]]
        features = feature_extractor(waveforms, sampling_rate=SAMPLING_RATE)
        return {"input_values": features["input_values"], "labels": batch["label"]}

    table.set_transform(transform, output_all_columns=False)
    arguments = TrainingArguments(
        output_dir=str(output_dir),
        num_train_epochs=1,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        seed=seed,
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )
    return Trainer(model=model, args=arguments, train_dataset=table, processing_class=feature_extractor)


def _piece(waveform: np.ndarray) -> np.ndarray:
    num_samples = round(MAX_SECONDS * SAMPLING_RATE)
    start = random.randint(0, max(len(waveform) - num_samples, 0))
    return waveform[start : start + num_samples]
