"""Fine-tunes Wav2Vec2 (or any audio encoder) with a classification head.

    accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small.yaml
    python -m finetune.train --model facebook/wav2vec2-base --dataset FOLDER --output_dir runs/mine

Options on the command line win over those of the configuration file. Started again with the same
command after a kill, it goes on from the last epoch that was saved.
"""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from transformers import (
    HfArgumentParser,
    PreTrainedModel,
    Trainer,
    TrainerState,
    Wav2Vec2FeatureExtractor,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from finetune.arguments import AugmentationArguments, DataArguments, FineTuningArguments, ModelArguments
from finetune.checkpoint import Run, is_finished, write_checkpoint
from finetune.clip_dataset import ClipDataset
from finetune.collator import WaveformCollator
from finetune.corpus import load_corpus
from finetune.corpus.splits import Split, make_split
from finetune.metrics import compute_metrics
from finetune.modeling import build_model
from inference.cli import EXIT_OK, reports_user_errors
from inference.errors import UserError

Arguments = tuple[DataArguments, ModelArguments, AugmentationArguments, FineTuningArguments]


def parse_arguments(argv: list[str] | None = None) -> Arguments:
    """Reads the command line and the YAML file named by ``--config``; unknown keys are refused."""
    groups: Any = [DataArguments, ModelArguments, AugmentationArguments, FineTuningArguments]
    parser = HfArgumentParser(
        groups,
        description=__doc__,
        allow_abbrev=False,
    )
    parser.add_argument("--config", help="YAML file with any of the options below")
    chosen, _ = parser.parse_known_args(argv)
    if chosen.config:
        parser.set_defaults(**_read_config(Path(chosen.config), {action.dest for action in parser._actions}))
    *parsed, _ = parser.parse_args_into_dataclasses(argv)
    return cast(Arguments, tuple(parsed))


def _read_config(path: Path, known: set[str]) -> dict:
    if not path.is_file():
        raise UserError(f"--config {path} does not exist; see finetune/configs for examples.")
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UserError(f"--config {path} is not valid YAML: {error}") from error
    unknown = sorted(set(options) - known)
    if unknown:
        raise UserError(f"--config {path}: unknown options {', '.join(unknown)}; see --help for the known.")
    return options


def classification_loss(
    outputs: dict, labels: torch.Tensor, num_items_in_batch: torch.Tensor | None, label_smoothing: float
) -> torch.Tensor:
    """Cross-entropy, averaged over the clips of an optimizer step.

    The audio classifiers of transformers accept ``num_items_in_batch`` without using it: their mean
    loss is then not divided by the accumulation steps, and multiplied by the number of processes.
    With the sum divided here, one and several processes take the same steps.
    """
    loss = torch.nn.functional.cross_entropy(
        outputs["logits"], labels, reduction="sum", label_smoothing=label_smoothing
    )
    return loss / (len(labels) if num_items_in_batch is None else num_items_in_batch)


def train(arguments: Arguments, command: str) -> Path:
    """Trains as asked and returns the folder of the finished checkpoint.

    Raises:
        UserError: For whatever the user can mend, before training starts.
    """
    data, model_arguments, augmentation, training = arguments
    output_dir = Path(training.output_dir or "")
    if is_finished(output_dir):
        raise UserError(
            f"{output_dir} holds a finished checkpoint; remove it or choose another --output_dir."
        )
    corpus = load_corpus(data.dataset, streaming=data.streaming)
    split = make_split(corpus.clips, data.protocol, data.split_seed, data.fold)
    set_seed(training.seed)
    model, feature_extractor = build_model(model_arguments)
    main_process = training.process_index == 0
    if main_process:
        sys.stderr.write(f"{corpus.description}; {split.caption}\n")
    contract = augmentation.crop_contract()
    decode = partial(ClipDataset, contract=contract, show_progress=main_process)
    trainer = Trainer(
        model=model,
        args=training,
        data_collator=WaveformCollator(feature_extractor),
        train_dataset=decode(split.train, augmentation=augmentation.settings(), seed=training.seed),
        eval_dataset=decode(split.validation),
        processing_class=feature_extractor,
        compute_metrics=compute_metrics,
        compute_loss_func=partial(classification_loss, label_smoothing=training.label_smoothing_factor),
    )
    last_checkpoint = get_last_checkpoint(str(output_dir)) if output_dir.is_dir() else None
    trainer.train(resume_from_checkpoint=training.resume_from_checkpoint or last_checkpoint)
    validation = trainer.evaluate(metric_key_prefix="validation")
    test = trainer.predict(decode(split.test), metric_key_prefix="test").metrics or {}
    if trainer.is_world_process_zero():
        run = Run(
            title=f"{type(model).__name__} for spoken digits",
            command=command,
            corpus=corpus,
            split=split,
            figures=_figures(validation, test, split, model, trainer.state),
            history=trainer.state.log_history,
        )
        write_checkpoint(output_dir, partial(_save, model, feature_extractor), contract, run)
        sys.stderr.write(f"wrote {output_dir}\n")
    return output_dir


def _save(model: PreTrainedModel, feature_extractor: Wav2Vec2FeatureExtractor, folder: Path) -> None:
    model.save_pretrained(folder)
    feature_extractor.save_pretrained(folder)


def _figures(
    validation: dict, test: dict, split: Split, model: PreTrainedModel, state: TrainerState
) -> dict[str, float]:
    return {
        "validation_clips": len(split.validation),
        "validation_accuracy": validation["validation_accuracy"],
        "validation_macro_f1": validation["validation_macro_f1"],
        "test_clips": len(split.test),
        "test_accuracy": test["test_accuracy"],
        "test_macro_f1": test["test_macro_f1"],
        "parameters": model.num_parameters(),
        "epochs": state.epoch or 0,
    }


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    arguments = parse_arguments(argv)
    typed = sys.argv[1:] if argv is None else argv
    train(arguments, command=shlex.join(["accelerate", "launch", "finetune/train.py", *typed]))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
