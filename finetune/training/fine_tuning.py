"""One fine-tuning run: from arguments to a finished checkpoint."""

import sys
from collections import ChainMap
from functools import partial
from pathlib import Path
from typing import Any, cast

from transformers import set_seed

from finetune.checkpoint.calibration import calibrate
from finetune.checkpoint.writer import Run, claim_folder, prepare_folder, write_checkpoint
from finetune.corpus.in_noise import heard
from finetune.corpus.loading import Clip, load_corpus
from finetune.corpus.non_words import nondigits
from finetune.corpus.splits import Split, fingerprint, make_split
from finetune.corpus.synthetic import with_synthetic
from finetune.metrics import compute_metrics
from finetune.training.arguments import DataArguments
from finetune.training.clip_dataset import ClipDataset
from finetune.training.clip_trainer import ClipTrainer
from finetune.training.collator import WaveformCollator
from finetune.training.command_line import Arguments
from finetune.training.early_stopping import EarlyStopping
from finetune.training.modeling import build_model
from finetune.training.outcome import card_figures, save_model, training_notes
from finetune.training.publication import upload_checkpoint
from finetune.training.resumption import (
    checkpoint_to_resume,
    outcome_settings,
    require_space,
    write_failures_explained,
)
from finetune.training.tracking import prepare_trackers
from finetune.training.waveform_cache import WaveformCache
from inference.errors import UserError
from inference.vocabulary import vocabulary
from inference.weights import hub_is_reachable


def fine_tune(arguments: Arguments, command: str) -> None:
    """Trains as asked and writes a checkpoint into ``--output_dir``.

    Raises:
        UserError: For whatever the user can mend, before training starts where it can be known.
    """
    data, training = arguments.data, arguments.training
    output_dir = Path(training.output_dir or "")
    resumed = checkpoint_to_resume(training.resume_from_checkpoint, output_dir)
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
    prepare_trackers(cast(list[str], training.report_to))
    training.run_name = training.run_name or str(output_dir)
    corpus = load_corpus(data.dataset, streaming=data.streaming)
    split = make_split(corpus.clips, data.protocol, data.split_seed, data.fold)
    if data.skip_validation:
        split = split.without_validation()
    set_seed(training.seed)
    model, feature_extractor = build_model(arguments.model, data.classes)
    main_process = training.process_index == 0
    if main_process:
        sys.stderr.write(f"{corpus.description}; {split.caption}\n")
        prepare_folder(output_dir)
        clips = {"clips": fingerprint(corpus.clips), "test clips": split.fingerprint}
        claim_folder(output_dir, outcome_settings(arguments) | clips)
        # One is being written while the best, and those the user wants to keep, are still there.
        require_space(output_dir, model.num_parameters(), 2 + (training.save_total_limit or 1))
    if not feature_extractor.return_attention_mask:
        # Without a mask padding would change the answers; a clip alone is how the model is used.
        training.per_device_eval_batch_size = 1
    with training.main_process_first(desc="making and decoding clips"):
        split = with_synthetic(split, data.synthetic_share, corpus.name)
        others = {part: _others(part, clips, data) for part, clips in _parts(split).items()}
        spoken = (split.validation, others["validation"]) if data.reject else ()
        copies = [heard(clips) for clips in spoken]
        sources = (corpus.clips, split.synthetic, *others.values(), *copies)
        caches: Any = [WaveformCache(clips, show_progress=main_process) for clips in sources if clips]
    dataset = partial(
        ClipDataset,
        waveforms=ChainMap(*caches),
        contract=arguments.augmentation.crop_contract(),
        classes=data.classes,
    )
    choosing = training.load_best_model_at_end and training.early_stopping_patience > 0
    trainer = ClipTrainer(
        model=model,
        args=training,
        data_collator=WaveformCollator(feature_extractor),
        train_dataset=dataset(
            (*split.lessons, *others["train"]),
            augmentation=arguments.augmentation.settings(),
            seed=training.seed,
        ),
        eval_dataset=dataset((*split.validation, *others["validation"])) if split.validation else None,
        processing_class=feature_extractor,
        compute_metrics=compute_metrics,
        callbacks=[EarlyStopping(training.early_stopping_patience)] if choosing else [],
    )
    with write_failures_explained(output_dir):
        trainer.train(resume_from_checkpoint=resumed)
        # Predicted, not evaluated: trackers have closed the run and would open another for these.
        measured = trainer.predict(dataset(split.test), metric_key_prefix="test").metrics or {}
        operating_point = None
        if split.validation:
            validation = trainer.predict(dataset(split.validation), metric_key_prefix="validation")
            measured = (validation.metrics or {}) | measured
            if data.reject:
                pairs = zip(spoken, copies, strict=True)
                digits, sounds = (trainer.predict(dataset((*clips, *again))) for clips, again in pairs)
                operating_point = calibrate(digits.predictions, digits.label_ids, sounds.predictions)
        if main_process:
            run = Run(
                title=f"{type(model).__name__} for {vocabulary().title}",
                command=command,
                corpus=corpus,
                split=split,
                notes=training_notes(training),
                figures=card_figures(measured, split, model, trainer.state, operating_point),
                history=[*trainer.state.log_history, {"step": trainer.state.global_step, **measured}],
                classes=data.classes,
            )
            save = partial(save_model, model, feature_extractor, operating_point)
            write_checkpoint(output_dir, save, arguments.augmentation.crop_contract(), run)
            sys.stderr.write(f"wrote {output_dir}\n")
    if main_process and training.push_to_hub:
        upload_checkpoint(output_dir, str(trainer.hub_model_id), training)
    trainer.accelerator.wait_for_everyone()


def _parts(split: Split) -> dict[str, tuple[Clip, ...]]:
    return {"train": split.train, "validation": split.validation}


def _others(part: str, digits: tuple[Clip, ...], data: DataArguments) -> tuple[Clip, ...]:
    """Sounds that are no digit, beside the digits of a part."""
    if not data.reject:
        return ()
    num_clips = max(round(len(digits) * data.reject_share / (1 - data.reject_share)), 1)
    return nondigits(digits, part, num_clips, Path(data.reject_folder) if data.reject_folder else None)
