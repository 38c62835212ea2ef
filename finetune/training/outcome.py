"""What a finished fine-tuning leaves: its figures, what they rest on, and the model's files."""

from pathlib import Path

from transformers import PreTrainedModel, TrainerState, Wav2Vec2FeatureExtractor

from finetune.checkpoint.calibration import write_calibration
from finetune.corpus.splits import Split
from finetune.training.arguments import FineTuningArguments
from inference.prediction import OperatingPoint


def training_notes(training: FineTuningArguments) -> str:
    """What the figures rest on, for the card."""
    chosen = "epoch of the best validation accuracy" if training.load_best_model_at_end else "last epoch"
    precision = next((name for name in ("bf16", "fp16") if getattr(training, name)), "fp32")
    return (
        f"The {chosen} was kept; no choice was made on test clips. Trained and measured in {precision}, "
        f"seed {training.seed}. Accuracy and F1 are those of the digits as a closed set."
    )


def save_model(
    model: PreTrainedModel,
    feature_extractor: Wav2Vec2FeatureExtractor,
    operating_point: OperatingPoint | None,
    folder: Path,
) -> None:
    """Writes weights and feature settings, and the operating point where there is one."""
    model.save_pretrained(folder)
    feature_extractor.save_pretrained(folder)
    if operating_point is not None:
        write_calibration(folder, operating_point)


def card_figures(
    measured: dict[str, float],
    split: Split,
    model: PreTrainedModel,
    state: TrainerState,
    operating_point: OperatingPoint | None,
) -> dict[str, float]:
    """The figures of the card from the Trainer's measurements on validation and test clips."""
    figures: dict[str, float] = {}
    for part, clips in (("validation", split.validation), ("test", split.test)):
        if clips:
            figures[f"{part}_clips"] = len(clips)
            figures |= {name: measured[name] for name in (f"{part}_accuracy", f"{part}_macro_f1")}
    figures |= {"parameters": model.num_parameters(), "epochs": state.epoch or 0}
    best = [record["epoch"] for record in state.log_history if record["step"] == state.best_global_step]
    if best:
        figures["best_epoch"] = best[0]
    if operating_point is not None:
        rates = {
            "validation_false_reject_rate": operating_point.false_reject_rate,
            "validation_false_accept_rate": operating_point.false_accept_rate,
            "reject_threshold": operating_point.threshold,
        }
        figures |= {name: value for name, value in rates.items() if value is not None}
    return figures
