"""One fine-tuning run: from arguments to a finished checkpoint."""

import sys
from functools import partial
from pathlib import Path
from typing import cast

from transformers import PreTrainedModel, TrainerState, Wav2Vec2FeatureExtractor, set_seed

from finetune.checkpoint import Run, claim_folder, prepare_folder, write_checkpoint
from finetune.clip_dataset import ClipDataset
from finetune.clip_trainer import ClipTrainer
from finetune.collator import WaveformCollator
from finetune.command_line import Arguments
from finetune.corpus import load_corpus
from finetune.corpus.splits import Split, fingerprint, make_split
from finetune.corpus.synthetic import with_synthetic
from finetune.early_stopping import EarlyStopping
from finetune.metrics import compute_metrics
from finetune.modeling import build_model
from finetune.resumption import (
    last_checkpoint,
    outcome_settings,
    require_space,
    write_failures_explained,
)
from finetune.tracking import prepare_trackers
from finetune.waveform_cache import WaveformCache
from inference.errors import UserError


def fine_tune(arguments: Arguments, command: str) -> None:
    """Trains as asked and writes a checkpoint into ``--output_dir``.

    Raises:
        UserError: For whatever the user can mend, before training starts where it can be known.
    """
    data, training = arguments.data, arguments.training
    output_dir = Path(training.output_dir or "")
    if training.n_gpu > 1:
        raise UserError(
            f"one process would split its batches over {training.n_gpu} GPUs; start one process per GPU: "
            f"accelerate launch --num_processes {training.n_gpu} finetune/train.py ..."
        )
    prepare_trackers(cast(list[str], training.report_to))
    training.run_name = training.run_name or str(output_dir)
    corpus = load_corpus(data.dataset, streaming=data.streaming)
    split = make_split(corpus.clips, data.protocol, data.split_seed, data.fold)
    split = with_synthetic(split, data.synthetic_share, corpus.name)
    set_seed(training.seed)
    model, feature_extractor = build_model(arguments.model, data.classes)
    main_process = training.process_index == 0
    if main_process:
        sys.stderr.write(f"{corpus.description}; {split.caption}\n")
        prepare_folder(output_dir)
        clips = {"clips": fingerprint(corpus.clips), "test clips": split.fingerprint}
        claim_folder(output_dir, outcome_settings(arguments) | clips)
        # One is being written while the best, and those the user wants to keep, are still there.
        require_space(
            output_dir, model.num_parameters(), num_checkpoints=2 + (training.save_total_limit or 1)
        )
    if not feature_extractor.return_attention_mask:
        # Without a mask padding would change the answers; a clip alone is how the model is used.
        training.per_device_eval_batch_size = 1
    with training.main_process_first(desc="decoding"):
        others = _others(data, split)
        sources = [corpus.clips, split.synthetic, *others.values()]
        caches = [WaveformCache(clips, show_progress=main_process) for clips in sources if clips]
    waveforms = {clip_id: cache for cache in caches for clip_id in cache}
    contract = arguments.augmentation.crop_contract()
    dataset = partial(ClipDataset, waveforms=waveforms, contract=contract)
    choosing = training.load_best_model_at_end and training.early_stopping_patience > 0
    trainer = ClipTrainer(
        model=model,
        args=training,
        data_collator=WaveformCollator(feature_extractor),
        train_dataset=dataset(
            split.lessons, augmentation=arguments.augmentation.settings(), seed=training.seed
        ),
        eval_dataset=dataset(split.validation),
        processing_class=feature_extractor,
        compute_metrics=compute_metrics,
        callbacks=[EarlyStopping(training.early_stopping_patience)] if choosing else [],
    )
    with write_failures_explained(output_dir):
        trainer.train(resume_from_checkpoint=training.resume_from_checkpoint or last_checkpoint(output_dir))
        validation = trainer.evaluate(metric_key_prefix="validation")
        test = trainer.predict(dataset(split.test), metric_key_prefix="test").metrics or {}
        if main_process:
            run = Run(
                title=f"{type(model).__name__} for spoken digits",
                command=command,
                corpus=corpus,
                split=split,
                notes=_notes(arguments),
                figures=_figures(validation, test, split, model, trainer.state),
                history=trainer.state.log_history,
            )
            write_checkpoint(output_dir, partial(_save, model, feature_extractor), contract, run)
            sys.stderr.write(f"wrote {output_dir}\n")
    trainer.accelerator.wait_for_everyone()


def _notes(arguments: Arguments) -> str:
    training = arguments.training
    chosen = "epoch of the best validation accuracy" if training.load_best_model_at_end else "last epoch"
    precision = next((name for name in ("bf16", "fp16") if getattr(training, name)), "fp32")
    return (
        f"The {chosen} was kept; no choice was made on test clips. Trained and measured in {precision}, "
        f"seed {training.seed}."
    )


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
