"""One fine-tuning run: from arguments to a finished checkpoint, uploaded where that was asked for."""

import sys
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError
from transformers import PreTrainedModel, SequenceFeatureExtractor, TrainerState, set_seed

from finetune.checkpoint.split_card import read_split_card
from finetune.checkpoint.writer import claim_folder, prepare_folder
from finetune.corpus.clip import Clip
from finetune.metrics import compute_metrics
from finetune.training.arguments import FineTuningArguments
from finetune.training.clip_dataset import ClipDataset, WaveformCollator, has_window
from finetune.training.clip_trainer import ClipTrainer, EarlyStopping
from finetune.training.command_line import Arguments
from finetune.training.data import TrainingData, gather
from finetune.training.modeling import build_model
from finetune.training.recipe import measure_test, validate, write
from finetune.training.resumption import (
    checkpoint_to_resume,
    outcome_settings,
    require_space,
    write_failures_explained,
)
from finetune.training.tracking import prepare_trackers
from finetune.training.waveform_cache import WaveformCache
from finetune.training.whisper_encoder import weights_source
from inference.crop import CropContract
from inference.errors import UserError
from inference.vocabulary import vocabulary
from inference.weights.hub import hub_is_reachable

#: Not uploaded: what going on needs, and what belongs to this machine.
NOT_UPLOADED = ("checkpoint-*", ".runtimes/*")


def fine_tune(arguments: Arguments, command: str) -> None:
    """Trains as asked and writes a checkpoint into ``--output_dir``.

    Raises:
        UserError: For whatever the user can mend, before training starts where it can be known.
    """
    training = arguments.training
    output_dir = Path(training.output_dir or "")
    resumed = checkpoint_to_resume(training.resume_from_checkpoint, output_dir)
    _check(training)
    prepare_trackers(cast(list[str], training.report_to))
    training.run_name = training.run_name or str(output_dir)
    with training.main_process_first(desc="making clips"):
        data = gather(arguments.data)
    data = replace(data, sources=(*data.sources, *weights_source(arguments.model.model)))
    set_seed(training.seed)
    model, feature_extractor = build_model(arguments.model, arguments.data.classes)
    started_from = None if arguments.model.from_config else read_split_card(Path(arguments.model.model))
    main_process = training.process_index == 0
    if main_process:
        sys.stderr.write(f"{data.description}\n")
        prepare_folder(output_dir)
        clips = {"clips": data.fingerprint, "test clips": data.split.fingerprint}
        claim_folder(output_dir, outcome_settings(arguments) | clips)
        # One is being written while the best, and those the user wants to keep, are still there.
        require_space(output_dir, model.num_parameters(), 2 + (training.save_total_limit or 1))
    if not feature_extractor.return_attention_mask and not has_window(feature_extractor):
        # Without a mask padding would change the answers; a clip alone is how the model is used.
        training.per_device_eval_batch_size = 1
    with training.main_process_first(desc="decoding clips"):
        waveforms = _waveforms(data, show_progress=main_process)
    trainer = _trainer(arguments, data, waveforms, model, feature_extractor)
    with write_failures_explained(output_dir):
        trainer.train(resume_from_checkpoint=resumed)
        logits = partial(_logits, trainer, arguments, waveforms)
        figures, operating_point = validate(logits, data, arguments.data.max_false_accept_rate)
        figures |= measure_test(logits, data, operating_point)
        if main_process:
            write(
                output_dir,
                partial(_save, model, feature_extractor),
                CropContract(),
                data,
                arguments.data,
                operating_point,
                title=f"{type(model).__name__} for {vocabulary().title}",
                command=command,
                figures=figures | _training_figures(model, trainer.state),
                notes=_notes(training),
                heard_through=(started_from,) if started_from else (),
                history=[*trainer.state.log_history, {"step": trainer.state.global_step, **figures}],
            )
            sys.stderr.write(f"wrote {output_dir}\n")
    if main_process and training.push_to_hub:
        _upload(output_dir, str(trainer.hub_model_id), training)
    trainer.accelerator.wait_for_everyone()


def _check(training: FineTuningArguments) -> None:
    if training.push_to_hub and not hub_is_reachable():
        raise UserError(
            "--push_to_hub: the Hugging Face Hub cannot be reached; leave it out, and upload the finished "
            "folder later: hf upload OWNER/NAME FOLDER"
        )
    if training.n_gpu > 1:
        raise UserError(
            f"one process would split its batches over {training.n_gpu} GPUs; start one process per GPU: "
            f"accelerate launch --num_processes {training.n_gpu} finetune/train.py ..."
        )


def _waveforms(data: TrainingData, show_progress: bool) -> ChainMap:
    """Everything decoded; a corpus is one file of the cache, whichever fold asks for it."""
    noisy = data.calibration_clips() if data.non_words["validation"] else ()
    sources = (
        *(corpus.clips for corpus in data.corpora),
        data.split.synthetic,
        *data.non_words.values(),
        *noisy,
    )
    caches: Any = [WaveformCache(clips, show_progress) for clips in sources if clips]
    return ChainMap(*caches)


def _trainer(
    arguments: Arguments,
    data: TrainingData,
    waveforms: ChainMap,
    model: PreTrainedModel,
    feature_extractor: SequenceFeatureExtractor,
) -> ClipTrainer:
    training = arguments.training
    choosing = training.load_best_model_at_end and training.early_stopping_patience > 0
    dataset = partial(
        ClipDataset,
        waveforms=waveforms,
        contract=CropContract(),
        classes=arguments.data.classes,
    )
    validation = (*data.split.validation, *data.non_words["validation"])
    return ClipTrainer(
        model=model,
        args=training,
        data_collator=WaveformCollator(feature_extractor),
        train_dataset=dataset(
            data.training_clips,
            augmentation=arguments.augmentation.settings(),
            seed=training.seed,
            soft_labeller=data.soft_labeller,
        ),
        eval_dataset=dataset(validation) if validation else None,
        processing_class=feature_extractor,
        compute_metrics=compute_metrics,
        callbacks=[EarlyStopping(training.early_stopping_patience)] if choosing else [],
    )


def _logits(
    trainer: ClipTrainer, arguments: Arguments, waveforms: ChainMap, clips: Sequence[Clip]
) -> np.ndarray:
    """Logits of clips, by all processes together."""
    asked = ClipDataset(clips, waveforms, CropContract(), classes=arguments.data.classes)
    # Predicted, not evaluated: trackers have closed the run and would open another for these.
    return cast(np.ndarray, trainer.predict(asked).predictions)


def _save(model: PreTrainedModel, feature_extractor: SequenceFeatureExtractor, folder: Path) -> None:
    model.save_pretrained(folder)
    feature_extractor.save_pretrained(folder)


def _training_figures(model: PreTrainedModel, state: TrainerState) -> dict[str, float]:
    figures: dict[str, float] = {"parameters": model.num_parameters(), "epochs": state.epoch or 0}
    best = [record["epoch"] for record in state.log_history if record["step"] == state.best_global_step]
    return figures | ({"best_epoch": best[0]} if best else {})


def _notes(training: FineTuningArguments) -> str:
    """What the figures rest on, for the card."""
    metric = str(training.metric_for_best_model).removeprefix("eval_").replace("_", " ")
    chosen = f"epoch of the best validation {metric}" if training.load_best_model_at_end else "last epoch"
    precision = next((name for name in ("bf16", "fp16") if getattr(training, name)), "fp32")
    return (
        f"The {chosen} was kept; no choice was made on test clips. Trained and measured in {precision}, "
        f"seed {training.seed}. Accuracy and F1 are those of the digits as a closed set."
    )


def _upload(folder: Path, repo_id: str, training: FineTuningArguments) -> None:
    """Uploads the finished checkpoint in one commit; the Trainer's own would replace the card by a draft.

    Raises:
        UserError: If the Hub does not take it; the folder stays as it is.
    """
    try:
        HfApi(token=training.hub_token).upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message="Checkpoint and card",
            ignore_patterns=list(NOT_UPLOADED),
            revision=training.hub_revision,
        )
    except (HTTPError, OSError) as error:
        excluded = " ".join(f'--exclude "{pattern}"' for pattern in NOT_UPLOADED)
        raise UserError(
            f"{folder} is complete, but {repo_id} did not take it ({error}). Upload it later: "
            f"hf upload {repo_id} {folder} {excluded}"
        ) from error
