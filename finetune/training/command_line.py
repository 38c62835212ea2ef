"""Reads the options of ``finetune.train`` from the command line and a YAML file."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser
from transformers.trainer_utils import IntervalStrategy

from finetune.training.arguments import (
    AugmentationArguments,
    FineTuningArguments,
    ModelArguments,
    SeriesArguments,
)
from finetune.training.data import DataArguments
from inference.errors import UserError
from inference.vocabulary import use_vocabulary

#: Options that may be given more than once.
REPEATABLE = {option.name for option in fields(DataArguments) if option.metadata.get("action") == "extend"}
DESCRIPTION = """Fine-tunes Wav2Vec2 (or its kin, or Whisper's encoder) with a classification head.
Options on the command line win over those of the configuration file. Started again with the same
command after a kill, it goes on from the last checkpoint that was saved."""


@dataclass(frozen=True)
class Arguments:
    """Everything that was asked for."""

    data: DataArguments
    model: ModelArguments
    augmentation: AugmentationArguments
    series: SeriesArguments
    training: FineTuningArguments

    def __post_init__(self) -> None:
        if self.data.skip_validation:
            if self.series.grid:
                raise UserError("--grid chooses by validation clips: leave --skip_validation out.")
            # Nothing is left to choose an epoch by.
            self.training.eval_strategy = IntervalStrategy.NO
            self.training.load_best_model_at_end = False

    @property
    def is_series(self) -> bool:
        """Whether more than one model is asked for."""
        return bool(self.data.all_folds or self.series.grid or self.series.seeds)


def parse_arguments(words: Sequence[str]) -> Arguments:
    """Reads the command line and the YAML file named by ``--config``.

    Args:
        words: The command line after the program's name; the last of equal options wins.

    Raises:
        UserError: If an option is unknown or a value does not fit.
    """
    words = underscored(words)
    groups: Any = [
        DataArguments,
        ModelArguments,
        AugmentationArguments,
        SeriesArguments,
        FineTuningArguments,
    ]
    parser = HfArgumentParser(groups, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--config", help="YAML file with any of the options below")
    chosen, _ = parser.parse_known_args(words)
    if chosen.config:
        options = _read_config(Path(chosen.config), {action.dest for action in parser._actions})
        # The command line wins, also over an option that it would add to.
        given = {word.partition("=")[0].removeprefix("--").replace("-", "_") for word in words}
        options = {name: value for name, value in options.items() if name not in given}
        if "model" in given:
            options.pop("from_config", None)
        for name in REPEATABLE & options.keys():
            options[name] = options[name] if isinstance(options[name], list) else [options[name]]
        parser.set_defaults(**options)
    try:
        *parsed, _, unknown = parser.parse_args_into_dataclasses(words, return_remaining_strings=True)
    except (ValueError, TypeError, ImportError) as error:
        raise UserError(f"the options do not fit: {error}") from error
    if unknown:
        raise UserError(f"unknown options {' '.join(unknown)}; see python -m finetune.train --help.")
    arguments = Arguments(*parsed)
    if arguments.data.vocabulary:
        use_vocabulary(Path(arguments.data.vocabulary))
    return arguments


def underscored(words: Sequence[str]) -> list[str]:
    """The options as the Trainer spells its own: ``--learning_rate``, whoever types ``--learning-rate``.

    ``--out``, the output option of every other command, stands for ``--output_dir``.
    """
    spelled = []
    for word in words:
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            option = {"--out": "--output_dir"}.get(option, "--" + option[2:].replace("-", "_"))
        spelled.append(f"{option}{equals}{value}")
    return spelled


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
