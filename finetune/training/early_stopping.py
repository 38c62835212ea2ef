"""Stops a training whose validation metric no longer improves."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


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
