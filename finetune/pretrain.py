"""Gives a small encoder of raw waveforms a start: it learns to hear words as Google's speech embedding does.

    python -m finetune.pretrain --out runs/wav2vec2-pretrained
    accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small-pretrained.yaml

The words are spoken by synthetic voices and varied as in fine-tuning, while the embedding that is to be
told from them is that of the word as it was (knowledge distillation; Hinton et al. 2015,
https://arxiv.org/abs/1503.02531). No recording takes part, so one pretrained encoder serves every fold.
Started again with the same command after a kill, it goes on from the last checkpoint that was saved.
"""

import argparse
import shlex
import sys
from pathlib import Path

from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    natural_number,
    path_argument,
    positive_float,
    positive_int,
    reports_user_errors,
)
from inference.errors import UserError
from inference.vocabulary import add_vocabulary_argument

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
CONFIG = Path(__file__).parent / "configs" / "wav2vec2-small.json"
#: Utterances of each label of the vocabulary beside the other words.
NUM_LABEL_UTTERANCES = 300


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.pretrain",
        description="Pretrains a small encoder of raw waveforms on synthetic voices.",
        renamed={"--output-dir": "--out"},
    )
    parser.add_argument(
        "--from-config", type=path_argument, default=CONFIG, help="architecture (default: %(default)s)"
    )
    parser.add_argument(
        "--words", type=positive_int, default=7000, help="spoken words to learn from (default: %(default)s)"
    )
    parser.add_argument("--steps", type=positive_int, default=5000, help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive_int, default=64, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=positive_float, default=1.5e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=natural_number, default=0, help="default: %(default)s")
    add_vocabulary_argument(parser)
    parser.add_argument("--out", type=path_argument, default=Path("runs/wav2vec2-pretrained"))
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    command = shlex.join(["python", "-m", "finetune.pretrain", *(sys.argv[1:] if argv is None else argv)])
    # Imported here: --help must not wait for torch.
    from transformers import TrainingArguments, set_seed

    from finetune.augmentation import AugmentationSettings
    from finetune.checkpoint.writer import claim_folder, prepare_folder
    from finetune.corpus.non_words import spoken_words
    from finetune.corpus.splits import fingerprint
    from finetune.corpus.synthetic import training_voices
    from finetune.training.clip_dataset import ClipDataset, WaveformCollator
    from finetune.training.clip_trainer import ClipTrainer
    from finetune.training.embedding_student import (
        EmbeddingStudent,
        embeddings,
        load_teacher,
        regression_loss,
    )
    from finetune.training.modeling import random_encoder
    from finetune.training.resumption import last_checkpoint, remove_checkpoints, write_failures_explained
    from finetune.training.waveform_cache import WaveformCache
    from inference.crop import CropContract

    folder: Path = options.out
    if (folder / "config.json").is_file():
        raise UserError(f"{folder} holds a pretrained encoder; remove it or choose another --out.")
    teacher = load_teacher()
    set_seed(options.seed)
    encoder, feature_extractor = random_encoder(options.from_config)
    masks = encoder.config.apply_spec_augment
    encoder.config.apply_spec_augment = False  # what is hidden cannot be told; fine-tuning masks again
    prepare_folder(folder)
    names = ("words", "steps", "batch_size", "learning_rate", "seed")
    settings = {name: getattr(options, name) for name in names}
    clips = (*training_voices(NUM_LABEL_UTTERANCES), *spoken_words("train", options.words))
    settings |= {"architecture": encoder.config.to_diff_dict(), "clips": fingerprint(clips)}
    claim_folder(folder, settings)
    waveforms = WaveformCache(clips, show_progress=True)
    targets = embeddings(teacher, [waveforms[clip.clip_id] for clip in clips])
    dataset = ClipDataset(
        clips,
        waveforms,
        CropContract(),
        AugmentationSettings(pad_ms=(0.0, 150.0), max_ms=1000.0),
        options.seed,
        targets=targets,
    )
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=options.steps,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.15,
        weight_decay=0.02,
        logging_steps=min(100, options.steps),
        save_steps=500,
        save_total_limit=1,
        seed=options.seed,
        report_to="none",
        remove_unused_columns=False,  # the labels are no argument of the network
    )
    trainer = ClipTrainer(
        model=EmbeddingStudent(encoder, targets.shape[1]),
        args=arguments,
        train_dataset=dataset,
        data_collator=WaveformCollator(feature_extractor),
        compute_loss_func=regression_loss,
    )
    with write_failures_explained(folder):
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        encoder.config.apply_spec_augment = masks
        unfinished = folder / "unfinished"
        encoder.save_pretrained(unfinished)
        feature_extractor.save_pretrained(unfinished)
        loss = next(record["loss"] for record in reversed(trainer.state.log_history) if "loss" in record)
        card = CARD.format(num_clips=len(clips), loss=loss, command=command)
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        # The configuration comes last: its presence says that the encoder is complete.
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == "config.json"):
            path.replace(folder / path.name)
        unfinished.rmdir()
    remove_checkpoints(folder)
    sys.stderr.write(f"wrote {folder}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
