"""The Hugging Face Trainer with batches of like lengths and a loss that adds up over processes."""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from finetune.training.clip_dataset import ClipDataset, EpochAnnouncer
from inference.errors import UserError

#: Steps among whose clips those of like length are sought. The length of a clip tells its speaker and its
#: word: batches of fifty steps' clips sorted are so much alike that a small network hardly learns from them.
STEPS_PER_POOL = 8
#: Dropout is decided by comparing 16 random bits, four of which fit a draw of 64.
_LANES, _LEVELS = 4, 2**16
#: Names of malloc.h, and how much more than asked for the heap grows at a time.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD_BYTES = 2**28


class ClipTrainer(Trainer):
    """Trains on a ``ClipDataset``.

    Args:
        args: The Trainer's options.
        train_dataset: Clips that vary by epoch.
        callbacks: Beside the ones of the Trainer.
        compute_loss_func: What is minimised; the cross-entropy of the labels if None.
        options: Everything else that ``Trainer`` takes.

    Raises:
        UserError: If the Trainer refuses the options.
    """

    def __init__(
        self,
        args: TrainingArguments,
        train_dataset: ClipDataset,
        callbacks: Sequence[TrainerCallback] = (),
        compute_loss_func: Callable[..., torch.Tensor] | None = None,
        **options: Any,
    ):
        self._clips = train_dataset
        cross_entropy = partial(classification_loss, label_smoothing=args.label_smoothing_factor)
        try:
            super().__init__(
                args=args,
                train_dataset=train_dataset,
                callbacks=[EpochAnnouncer(train_dataset), *callbacks],
                compute_loss_func=compute_loss_func or cross_entropy,
                **options,
            )
        except (ValueError, ImportError) as error:
            raise UserError(f"the options do not fit: {error}") from error
        self._try_optimizer()
        if args.device.type == "cpu":
            replace_dropout(self.model)
            keep_freed_memory()

    def _try_optimizer(self) -> None:
        """Finds mistakes in the options of optimizer and schedule, which training itself meets too late."""
        try:
            self.create_optimizer_and_scheduler(num_training_steps=1)
        except (ValueError, TypeError, ImportError) as error:
            raise UserError(f"the options of optimizer and schedule do not fit: {error}") from error
        self.optimizer = self.lr_scheduler = None

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        step_clips = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthSampler(self._clips, step_clips, self.args.data_seed or self.args.seed)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler | None:
        # In the order of the clips, however training draws them; accelerate shares them out.
        return SequentialSampler(eval_dataset) if self.args.world_size == 1 else None


class LengthSampler(Sampler[int]):
    """Batches of clips of about equal length, in an order drawn anew from the seed in every epoch.

    The lengths are those of the epoch's variations: a clip can become twice as long in one epoch and
    shorter in the next, and batches of clips that were equal before would be half padding.

    The sampler of transformers seeks clips of like length among a quarter of a corpus at most, does not
    seek in one of less than eight steps, and takes the longest batches first, the shortest last.

    The order of an epoch does not depend on what was drawn before it, so a run that is resumed in
    the middle of an epoch sees the rest of the same order.

    Args:
        clips: What is sampled; tells lengths and epoch.
        step_clips: Clips per optimizer step of all processes, whose batches should end together.
        seed: Seed of the order.
    """

    def __init__(self, clips: ClipDataset, step_clips: int, seed: int):
        self._clips = clips
        self._step_clips = step_clips
        self._seed = seed

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._clips.epoch)
        lengths = torch.tensor(self._clips.lengths)
        pools = torch.randperm(len(lengths), generator=generator).split(STEPS_PER_POOL * self._step_clips)
        sorted_pools = torch.cat([pool[lengths[pool].argsort(descending=True)] for pool in pools])
        steps = sorted_pools.split(self._step_clips)
        num_whole = len(sorted_pools) // self._step_clips
        # An incomplete step anywhere but at the end would shift the clips of all that follow.
        order = (*torch.randperm(num_whole, generator=generator).tolist(), *range(num_whole, len(steps)))
        return iter([row for place in order for row in steps[place].tolist()])


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
    if num_items_in_batch is None:
        return loss / len(labels)
    return loss / num_items_in_batch


class EarlyStopping(TrainerCallback):
    """Counts validations since the best one, from the Trainer's own records.

    The library's callback keeps a counter beside them, which a kill between saving and validating
    loses; the records make a resumed run stop where the uninterrupted one does.

    Args:
        patience: Validations without improvement after which training stops.
    """

    def __init__(self, patience: int):
        self._patience = patience

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Called after the validation has been recorded."""
        control.should_training_stop |= self._exhausted(args, state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A run that had stopped before it was killed gets no further validation to choose from."""
        if self._exhausted(args, state):
            control.should_training_stop = True
            control.should_evaluate = control.should_save = control.should_log = False

    on_epoch_end = on_step_end

    def _exhausted(self, args: TrainingArguments, state: TrainerState) -> bool:
        name = f"eval_{str(args.metric_for_best_model).removeprefix('eval_')}"
        sign = 1 if args.greater_is_better else -1
        values = [sign * record[name] for record in state.log_history if name in record]
        return bool(values) and len(values) - 1 - values.index(max(values)) >= self._patience


def replace_dropout(model: nn.Module) -> None:
    """Replaces each dropout of a model by one that draws faster; parameters and their names stay."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, BulkDropout(child.p).train(child.training))


class BulkDropout(nn.Dropout):
    """Dropout whose random numbers are drawn four at a time.

    torch draws one number for each element, one after the other on a single core. Without that a step of the
    small network takes 8 % less processor time, one of ``facebook/wav2vec2-base`` 13 % (measured in turns, in
    bfloat16 on one core). The share that is dropped is a multiple of 1/65536 here.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Zeroes a share ``p`` of the elements and scales the others up, in training."""
        if not self.training or not self.p or input.device.type != "cpu":
            return super().forward(input)
        draws = torch.empty(-(-input.numel() // _LANES), dtype=torch.int64).random_(-(2**63), None)
        lanes = draws.view(torch.int16)[: input.numel()].view(input.shape)
        kept = lanes >= round(self.p * _LEVELS) - _LEVELS // 2
        # As 8-bit numbers, whose conversion is vectorised; that of booleans is not.
        return input * kept.view(torch.int8).to(input.dtype).div_(1 - self.p)


def keep_freed_memory() -> None:
    """Keeps what a step frees for the next one, where the C library is glibc.

    By default each large tensor is mapped anew and returned, and the system clears every page of it, which
    is 15 % of the processor time of a step of the small network (measured in turns, on one core).
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # mallopt(3)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)
