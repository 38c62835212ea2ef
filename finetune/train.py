"""Fine-tunes Wav2Vec2 (or its kin, or Whisper's encoder) with a classification head.

    accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small.yaml
    python -m finetune.train --model facebook/wav2vec2-base --dataset FOLDER --output_dir runs/mine

Options on the command line win over those of the configuration file. Started again with the same
command after a kill, it goes on from the last checkpoint that was saved.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inference.command_line import EXIT_OK, reports_user_errors, shareable_command

if TYPE_CHECKING:
    from finetune.training.command_line import Arguments
    from finetune.training.series import Fit

SERIES_OPTIONS = ("--seeds", "--grid")
SECRETS = ("--hub_token",)


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    # Imported here: whoever lacks the extra is told so.
    from accelerate import PartialState

    from finetune.corpus.loading import use_labels_of
    from finetune.training.command_line import parse_arguments, underscored
    from finetune.training.fine_tuning import fine_tune

    words = underscored(sys.argv[1:] if argv is None else argv)
    arguments = parse_arguments(words)
    use_labels_of(arguments.data.datasets[0])
    if arguments.is_series:
        series = _series(arguments, words)
        series((), Path(arguments.training.output_dir or ""))
    else:
        fine_tune(arguments, _command(arguments, words))
    # Several processes part together: one that leaves while the threads of its process group still
    # run may be aborted by the C++ runtime after its work is done.
    PartialState().destroy_process_group()
    return EXIT_OK


def _series(arguments: "Arguments", words: list[str]) -> "Fit":
    """The way to train all runs that were asked for: a grid in each fold in each seed."""
    from finetune.corpus.mixture import load_corpora
    from finetune.training.command_line import parse_arguments
    from finetune.training.fine_tuning import fine_tune
    from finetune.training.resumption import outcome_settings, remove_checkpoints
    from finetune.training.series import Series, over_folds, over_grid, over_seeds

    single = _without(SERIES_OPTIONS, words)

    def fit_one(options: Sequence[str], folder: Path) -> None:
        run_words = [*single, *options, "--output_dir", str(folder)]
        run = parse_arguments(run_words)
        fine_tune(run, _command(run, run_words))
        remove_checkpoints(folder)

    fit: Fit = fit_one
    series = Series(_command(arguments, words), outcome_settings(arguments))
    data, asked = arguments.data, arguments.series
    if asked.grid:
        for option, values in asked.grid_axes.items():
            for value in values:
                parse_arguments([*single, f"--{option}", value])  # a typing error is found before training
        fit = over_grid(fit, asked.grid_axes, series)
    if data.all_folds:
        fit = over_folds(fit, load_corpora(data.datasets[:1])[0], series)
    if asked.seeds:
        fit = over_seeds(fit, asked.seeds, series)
    return fit


def _without(options: Sequence[str], words: list[str]) -> list[str]:
    """The words with some options, and their values, taken out."""
    kept: list[str] = []
    skipping = False
    for word in words:
        if word.startswith("--"):
            skipping = word.partition("=")[0] in options
        if not skipping:
            kept.append(word)
    return kept


def _command(arguments: "Arguments", words: list[str]) -> str:
    """What to type for these runs."""
    program = ["accelerate", "launch", "finetune/train.py"]
    if arguments.training.world_size > 1:
        program[2:2] = ["--multi_gpu", "--num_processes", str(arguments.training.world_size)]
    # The command goes into the card for all to read.
    return arguments.data.environment_prefix + shareable_command(*program, *_without(SECRETS, words))


if __name__ == "__main__":
    sys.exit(main())
