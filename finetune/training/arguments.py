"""Options of ``finetune.train`` beside those in ``data``; checks without I/O."""

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from finetune.augmentation import AugmentationSettings
from finetune.metrics import LABEL_METRICS
from inference.cpu_features import multiplies_in_bf16
from inference.crop import CropContract
from inference.errors import UserError

#: Beside a GPU one worker prepares some 300 clips a second.
MAX_WORKERS = 4
#: What the best checkpoint can be chosen by.
CHOICE_METRICS = ("loss", *LABEL_METRICS)
#: Option of the Trainer -> the least value that it can work with; it does not look itself.
_LEAST = {
    "early_stopping_patience": 0,
    "learning_rate": 0.0,
    "gradient_accumulation_steps": 1,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
}
#: Option of the Trainer -> the only value that clips and their figures go with, and why.
_FIXED = {
    "neftune_noise_alpha": (None, "noise goes on embeddings of text, which clips do not have"),
    "use_liger_kernel": (False, "its kernels are for networks of text"),
    "label_names": (None, "the collator calls them labels"),
    "prediction_loss_only": (False, "the figures are made of the predictions"),
    "eval_do_concat_batches": (True, "the figures are made of all predictions together"),
    "batch_eval_metrics": (False, "the figures are made of all predictions together"),
    "bf16_full_eval": (False, "clips are float32"),
    "fp16_full_eval": (False, "clips are float32"),
    "dataloader_drop_last": (False, "it would leave clips out of validation and test"),
    "remove_unused_columns": (False, "the collator makes what the model takes of what the clips have"),
}


@dataclass
class ModelArguments:
    """Which network, and what of it learns."""

    model: str = field(
        default="facebook/wav2vec2-base",
        metadata={"help": "Hub id or folder of an encoder: Wav2Vec2, HuBERT, WavLM, ..., Whisper"},
    )
    from_config: str | None = field(
        default=None,
        metadata={"help": "start from random weights with this configuration file (JSON) instead of --model"},
    )
    freeze_feature_encoder: bool | None = field(
        default=None,
        metadata={"help": "keep the convolutional encoder fixed (default: yes, except with --from_config)"},
    )
    freeze_layers: int = field(
        default=0, metadata={"help": "of the encoder learn only the transformer layers above so many; 0: all"}
    )

    def __post_init__(self) -> None:
        if self.freeze_feature_encoder is None:
            self.freeze_feature_encoder = self.from_config is None
        if self.freeze_layers < 0:
            raise UserError(f"--freeze_layers {self.freeze_layers}: expected 0 or more.")


@dataclass
class AugmentationArguments:
    """How the training clips vary."""

    augment: bool = field(default=True, metadata={"help": "vary voice, room, background and level"})
    max_pad_ms: float = field(default=300.0, metadata={"help": "longest background on each side"})
    max_clip_ms: float = field(default=1500.0, metadata={"help": "longer training clips are cut to this"})

    def __post_init__(self) -> None:
        if self.max_pad_ms < 0 or self.max_clip_ms < CropContract.min_ms:
            raise UserError(
                f"--max_pad_ms {self.max_pad_ms}, --max_clip_ms {self.max_clip_ms}: expected 0 or more, and "
                f"{CropContract.min_ms} or more."
            )

    def settings(self) -> AugmentationSettings | None:
        """The ranges to draw from; None without augmentation."""
        if not self.augment:
            return None
        return AugmentationSettings(pad_ms=(0.0, self.max_pad_ms), max_ms=self.max_clip_ms)


@dataclass
class SeriesArguments:
    """Several runs by one command; each is a checkpoint in a sub-folder."""

    seeds: list[int] | None = field(
        default=None, metadata={"help": "train once with each of these seeds; mean and spread in seeds.md"}
    )
    grid: list[str] | None = field(
        default=None,
        metadata={
            "help": "options to choose by validation accuracy, such as learning_rate=1e-4,3e-4 "
            "label_smoothing_factor=0,0.1"
        },
    )

    def __post_init__(self) -> None:
        if self.seeds is not None and len(set(self.seeds)) != len(self.seeds):
            raise UserError(f"--seeds {' '.join(map(str, self.seeds))}: expected each seed once.")
        for word in self.grid or []:
            name, _, values = word.partition("=")
            if not name or not all(values.split(",")):
                raise UserError(
                    f"--grid {word}: expected OPTION=VALUE,VALUE such as learning_rate=1e-4,3e-4."
                )

    @property
    def grid_axes(self) -> dict[str, list[str]]:
        """Option -> values to try."""
        words = (word.partition("=") for word in self.grid or [])
        return {name: values.split(",") for name, _, values in words}


@dataclass
class FineTuningArguments(TrainingArguments):
    """The Trainer's own options, with defaults for small corpora of short clips.

    The best epoch by ``metric_for_best_model`` is kept; the test clips take no part in the choice.
    """

    output_dir: str | None = field(default="runs/wav2vec2", metadata={"help": "where checkpoints go"})
    eval_strategy: str = field(default="epoch", metadata={"help": "when to validate"})
    save_strategy: str = field(default="epoch", metadata={"help": "when to save; as often as validating"})
    logging_strategy: str = field(default="epoch", metadata={"help": "when to log the training loss"})
    save_total_limit: int | None = field(default=1, metadata={"help": "checkpoints kept besides the best"})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "end with the best checkpoint"})
    metric_for_best_model: str | None = field(
        default="accuracy", metadata={"help": f"on validation clips: {', '.join(CHOICE_METRICS)}"}
    )
    early_stopping_patience: int = field(
        default=10, metadata={"help": "stop after so many validations without a better one; 0: never"}
    )
    train_sampling_strategy: str = field(
        default="group_by_length",
        metadata={
            "help": "group_by_length pads least",
            "choices": ["random", "sequential", "group_by_length"],
        },
    )
    bf16: bool | None = field(
        default=None,
        metadata={"help": "mixed precision (default: where CPU or GPU has bfloat16 instructions)"},
    )
    dataloader_num_workers: int | None = field(
        default=None,
        metadata={"help": "processes that prepare batches (default: 4 beside a GPU, else 0)"},
    )
    hub_strategy: str = field(
        default="end", metadata={"help": "with --push_to_hub: end uploads the finished checkpoint, once"}
    )
    disable_tqdm: bool | None = field(default=False, metadata={"help": "no progress bar"})
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "the collator makes what the model takes of what the clips have"}
    )

    def __post_init__(self) -> None:
        accelerated = torch.accelerator.is_available()
        if not accelerated:
            # Without it the Trainer takes each of several CPU processes for the only one.
            self.use_cpu = True
            self.dataloader_pin_memory = False
        if self.bf16 is None:
            self.bf16 = not self.fp16 and multiplies_in_bf16()
        if self.dataloader_num_workers is None:
            # On a CPU the training itself uses every core.
            self.dataloader_num_workers = MAX_WORKERS if accelerated and not self.use_cpu else 0
            self.dataloader_persistent_workers = self.dataloader_num_workers > 0
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise UserError(f"--{name} {getattr(self, name)}: expected {least} or more.")
        for name, (value, reason) in _FIXED.items():
            if getattr(self, name) != value:
                raise UserError(
                    f"--{name} {getattr(self, name)} does not work here, as {reason}: leave it out."
                )
        if not 0.0 <= self.label_smoothing_factor <= 1.0:
            raise UserError(f"--label_smoothing_factor {self.label_smoothing_factor}: expected 0 to 1.")
        super().__post_init__()
        metric = self.metric_for_best_model
        if metric is not None and metric.removeprefix("eval_") not in CHOICE_METRICS:
            raise UserError(
                f"--metric_for_best_model {metric!r}: expected one of {', '.join(CHOICE_METRICS)}."
            )
