"""Fine-tunes Wav2Vec2 (or any audio encoder) with a classification head.

    accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small.yaml
    python -m finetune.train --model facebook/wav2vec2-base --dataset FOLDER --output_dir runs/mine

Options on the command line win over those of the configuration file. Started again with the same
command after a kill, it goes on from the last epoch that was saved.
"""

import shlex
import sys
from dataclasses import asdict
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

from finetune.arguments import AugmentationArguments, DataArguments, FineTuningArguments, ModelArguments
from finetune.checkpoint import Run, claim_folder, prepare_folder, write_checkpoint
from finetune.clip_dataset import ClipDataset, EpochAnnouncer
from finetune.collator import WaveformCollator
from finetune.corpus import environment_prefix, load_corpus
from finetune.corpus.splits import Split, make_split
from finetune.metrics import compute_metrics
from finetune.modeling import build_model
from inference.cli import EXIT_OK, reports_user_errors
from inference.errors import UserError

Arguments = tuple[DataArguments, ModelArguments, AugmentationArguments, FineTuningArguments]


def parse_arguments(argv: list[str] | None = None) -> Arguments:
    """Reads the command line and the YAML file named by ``--config``.

    Raises:
        UserError: If an option is unknown or a value does not fit.
    """
    words = sys.argv[1:] if argv is None else argv
    groups: Any = [DataArguments, ModelArguments, AugmentationArguments, FineTuningArguments]
    parser = HfArgumentParser(groups, description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", help="YAML file with any of the options below")
    chosen, _ = parser.parse_known_args(words)
    if chosen.config:
        options = _read_config(Path(chosen.config), {action.dest for action in parser._actions})
        if any(word.partition("=")[0] == "--model" for word in words):
            options.pop("from_config", None)  # the command line wins
        parser.set_defaults(**options)
    try:
        *parsed, _, unknown = parser.parse_args_into_dataclasses(words, return_remaining_strings=True)
    except (ValueError, TypeError) as error:
        raise UserError(f"the options do not fit: {error}") from error
    if unknown:
        raise UserError(f"unknown options {' '.join(unknown)}; see python -m finetune.train --help.")
    return cast(Arguments, tuple(parsed))


def _read_config(path: Path, known: set[str]) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"--config {path} is no file; see finetune/configs for examples.")
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path} is not valid YAML: {error}") from error
    if not isinstance(options, dict):
        raise UserError(f"--config {path} holds a {type(options).__name__}, expected lines 'option: value'.")
    unknown = sorted(map(str, set(options) - known))
    if unknown:
        raise UserError(f"--config {path}: unknown options {', '.join(unknown)}; see --help for the known.")
    if isinstance(options.get("from_config"), str):
        # Relative to the YAML file, so that a recipe works from any folder.
        options["from_config"] = str(path.parent / options["from_config"])
    # As text, values are converted and checked like those of the command line.
    return {
        key: value if isinstance(value, bool | list | None) else str(value) for key, value in options.items()
    }


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
    if training.n_gpu > 1:
        raise UserError(
            f"one process would split its batches over {training.n_gpu} GPUs; start one process per GPU: "
            f"accelerate launch --num_processes {training.n_gpu} finetune/train.py ..."
        )
    corpus = load_corpus(data.dataset, streaming=data.streaming)
    split = make_split(corpus.clips, data.protocol, data.split_seed, data.fold)
    set_seed(training.seed)
    model, feature_extractor = build_model(model_arguments)
    main_process = training.process_index == 0
    if main_process:
        sys.stderr.write(f"{corpus.description}; {split.caption}\n")
        prepare_folder(output_dir)
        settings = asdict(data) | asdict(model_arguments) | asdict(augmentation)
        claim_folder(output_dir, settings | {"seed": training.seed, "test clips": split.fingerprint})
    if not feature_extractor.return_attention_mask:
        # Without a mask padding would change the answers; a clip alone is how the model is used.
        training.per_device_eval_batch_size = 1
    contract = augmentation.crop_contract()
    decode = partial(ClipDataset, contract=contract, show_progress=main_process)
    training_clips = decode(split.train, augmentation=augmentation.settings(), seed=training.seed)
    trainer = Trainer(
        model=model,
        args=training,
        data_collator=WaveformCollator(feature_extractor),
        train_dataset=training_clips,
        callbacks=[EpochAnnouncer(training_clips)],
        eval_dataset=decode(split.validation),
        processing_class=feature_extractor,
        compute_metrics=compute_metrics,
        compute_loss_func=partial(classification_loss, label_smoothing=training.label_smoothing_factor),
    )
    trainer.train(resume_from_checkpoint=training.resume_from_checkpoint or _last_checkpoint(output_dir))
    validation = trainer.evaluate(metric_key_prefix="validation")
    test = trainer.predict(decode(split.test), metric_key_prefix="test").metrics or {}
    if trainer.is_world_process_zero():
        run = Run(
            title=f"{type(model).__name__} for spoken digits",
            command=command,
            corpus=corpus,
            split=split,
            notes=(
                "The epoch of the best validation accuracy was kept; no choice was made on test clips."
                if training.load_best_model_at_end
                else "The last epoch was kept; no choice was made on test clips."
            ),
            figures=_figures(validation, test, split, model, trainer.state),
            history=trainer.state.log_history,
        )
        write_checkpoint(output_dir, partial(_save, model, feature_extractor), contract, run)
        sys.stderr.write(f"wrote {output_dir}\n")
    # Several processes part together: one that leaves while the threads of its process group still
    # run may be aborted by the C++ runtime after its work is done.
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    return output_dir


def _last_checkpoint(output_dir: Path) -> str | None:
    """The newest checkpoint that was saved to its end; a kill while saving leaves a torn one."""
    folders = sorted(output_dir.glob("checkpoint-*"), key=lambda folder: int(folder.name.partition("-")[2]))
    for folder in reversed(folders):
        # The Trainer writes its state last.
        if (folder / "trainer_state.json").is_file():
            return str(folder)
    return None


def _save(model: PreTrainedModel, feature_extractor: Wav2Vec2FeatureExtractor, folder: Path) -> None:
    model.save_pretrained(folder)
    feature_extractor.save_pretrained(folder)


def _figures(
    validation: dict, test: dict, split: Split, model: PreTrainedModel, state: TrainerState
) -> dict[str, float]:
    figures = {
        "validation_clips": len(split.validation),
        "validation_accuracy": validation["validation_accuracy"],
        "validation_macro_f1": validation["validation_macro_f1"],
        "test_clips": len(split.test),
        "test_accuracy": test["test_accuracy"],
        "test_macro_f1": test["test_macro_f1"],
        "parameters": model.num_parameters(),
        "epochs": state.epoch or 0,
    }
    best = [record["epoch"] for record in state.log_history if record["step"] == state.best_global_step]
    return figures | ({"best_epoch": best[0]} if best else {})


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    arguments = parse_arguments(argv)
    data, _, _, training = arguments
    program = ["accelerate", "launch", "finetune/train.py"]
    if training.world_size > 1:
        program[2:2] = ["--multi_gpu", "--num_processes", str(training.world_size)]
    words = [*program, *(sys.argv[1:] if argv is None else argv)]
    train(arguments, command=environment_prefix(data.dataset) + shlex.join(words))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
