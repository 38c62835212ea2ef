"""Fits a small baseline on the same splits as the big models.

    python -m finetune.fit_baseline --model mfcc-svm --dataset FOLDER --out runs/mfcc
    python -m finetune.fit_baseline --model logmel-dscnn --protocol loso --out runs/logmel-dscnn-loso

The protocol ``loso`` without ``--fold`` fits every fold; stopped and started again with the same
command, it goes on with the folds that are missing.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.baselines.table import (
    STATISTICS_TITLES,
    SYNTHETIC_SHARES,
    FittedBaseline,
    StatisticsGrid,
    find_baseline,
)
from finetune.corpus.clip import Clip
from finetune.corpus.loading import use_labels_of
from finetune.corpus.mixture import load_corpora
from finetune.training.data import DataArguments, add_data_arguments, gather
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    natural_number,
    path_argument,
    positive_float,
    positive_int,
    reports_user_errors,
    shareable_command,
)
from inference.errors import UserError
from inference.features import FeatureSettings
from inference.prediction import LEAST_PROBABILITY
from inference.vocabulary import add_vocabulary_argument

if TYPE_CHECKING:
    import numpy as np

#: Option -> what it is of a ``StatisticsGrid``.
_GRID_OPTIONS = {"n_mfcc": "n_mfcc", "C": "regularisation", "gamma": "gammas", "folds": "folds"}
#: Models of statistics -> options of the grid that are not for them.
_NOT_OF = {"mfcc-logreg": {"gamma"}, "mfcc-forest": {"C", "gamma"}}


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(prog="python -m finetune.fit_baseline", description="Fits a small baseline.")
    parser.add_argument(
        "--model",
        choices=SYNTHETIC_SHARES,
        default="mfcc-svm",
        help="what to fit; networks learn from a share of 0.4 of synthetic voices unless told otherwise "
        "(default: %(default)s)",
    )
    add_vocabulary_argument(parser)
    add_data_arguments(parser, {"reject_share": 0.5, "synthetic_share": None})
    parser.add_argument(
        "--seed", type=natural_number, default=0, help="of weights, order and augmentation (default: 0)"
    )
    parser.add_argument(
        "--steps", type=positive_int, help="optimizer steps of the networks (default: each one's own number)"
    )
    grid = parser.add_argument_group("what the models of MFCC statistics choose from, by cross-validation")
    grid.add_argument(
        "--n-mfcc", type=positive_int, metavar="N", help=f"coefficients (default: {StatisticsGrid.n_mfcc})"
    )
    grid.add_argument(
        "--C", nargs="+", type=positive_float, metavar="C", help="of machine or regression (default: its own)"
    )
    grid.add_argument(
        "--gamma",
        nargs="+",
        type=positive_float,
        metavar="G",
        help="of the machine, over the number of statistics (default: its own)",
    )
    grid.add_argument(
        "--folds",
        type=positive_int,
        metavar="N",
        help=f"parts, of speakers or of clips of one, at most (default: {StatisticsGrid.folds})",
    )
    parser.add_argument(
        "--report-to",
        nargs="+",
        default=[],
        metavar="TRACKER",
        help="report curve and figures to tensorboard, mlflow, wandb or trackio (default: none)",
    )
    parser.add_argument("--out", type=path_argument, help="checkpoint folder to write (default: runs/MODEL)")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    data = _data_arguments(options)
    use_labels_of(data.datasets[0])
    if options.steps and options.model in STATISTICS_TITLES:
        raise UserError(f"--steps is for networks: {options.model} is fitted without.")
    if options.soft_labels_from and options.model in STATISTICS_TITLES:
        raise UserError(f"--soft-labels-from is for networks: {options.model} learns from labels alone.")
    _grid(options)
    if options.report_to:
        from finetune.training.tracking import prepare_trackers

        prepare_trackers(options.report_to)  # before any work is done
    folder = options.out or Path("runs") / options.model
    words = ["python", "-m", "finetune.fit_baseline", *(sys.argv[1:] if argv is None else argv)]
    command = data.environment_prefix + shareable_command(*words)
    if data.all_folds:
        # Imported here: --help must not wait for scipy and scikit-learn.
        from finetune.training.folds import run_folds

        names = ("model", "seed", "steps", *_GRID_OPTIONS)
        settings = asdict(data) | {name: getattr(options, name) for name in names}
        corpus = load_corpora(data.datasets[:1])[0]
        table = run_folds(
            corpus,
            folder,
            settings,
            command,
            lambda speaker, place: _fit(options, replace(data, fold=speaker), command, place),
        )
        sys.stderr.write(f"{table.markdown()}\nwrote {folder / 'loso.md'}\n")
    else:
        _fit(options, data, command, folder)
    return EXIT_OK


def _data_arguments(options: argparse.Namespace) -> DataArguments:
    values = {option.name: getattr(options, option.name) for option in fields(DataArguments)}
    if values["synthetic_share"] is None:
        values["synthetic_share"] = SYNTHETIC_SHARES[options.model]
    return DataArguments(**values)


def _grid(options: argparse.Namespace) -> StatisticsGrid:
    """What was typed, beside the values that were not; UserError if they cannot be used."""
    typed = {name: value for name in _GRID_OPTIONS if (value := getattr(options, name)) is not None}
    if typed and options.model not in STATISTICS_TITLES:
        raise UserError(
            f"--n-mfcc, --C, --gamma and --folds are for {', '.join(STATISTICS_TITLES)}, not for "
            f"{options.model}."
        )
    for name in sorted(_NOT_OF.get(options.model, set()) & set(typed)):
        raise UserError(f"{options.model} has no --{name}: leave it out.")
    grid = StatisticsGrid(**{_GRID_OPTIONS[name]: value for name, value in typed.items()})
    most = FeatureSettings.n_mels - 1
    if grid.n_mfcc > most or grid.folds < 2:
        raise UserError(f"--n-mfcc is at most {most}, one less than the bands, and --folds 2 at least.")
    return grid


def _fit(options: argparse.Namespace, arguments: DataArguments, command: str, folder: Path) -> None:
    """Fits one split and writes its checkpoint."""
    from finetune.checkpoint.writer import prepare_folder
    from finetune.training.recipe import measure_test, validate, write
    from finetune.training.resumption import write_failures_explained
    from finetune.training.tracking import tracked

    data = gather(arguments)
    prepare_folder(folder)
    sys.stderr.write(f"{data.description}\n")
    baseline = find_baseline(options.model, options.seed, options.steps, _grid(options), data.soft_labeller)
    validation, notes = data.split.validation, _NOTES_WITHOUT_VALIDATION
    started = time.perf_counter()
    # A model that has not heard the validation clips: its curve, figures and operating point.
    fitted = baseline.fit(data.training_clips, validation)
    figures, operating_point = validate(partial(_logits, fitted), data, arguments.max_false_accept_rate)
    history = fitted.history
    if validation and data.validation_apart:
        notes = _NOTES_VALIDATION_APART
    elif validation:
        notes, started = _NOTES, time.perf_counter()
        fitted = baseline.fit((*data.training_clips, *validation), ())
    figures |= {"fit_seconds": time.perf_counter() - started, **fitted.choices}
    figures |= measure_test(partial(_logits, fitted), data, operating_point)
    figures["parameters"] = fitted.num_parameters
    with write_failures_explained(folder):
        write(
            folder,
            fitted.save,
            baseline.contract,
            data,
            arguments,
            operating_point,
            title=baseline.title,
            command=command,
            figures=figures,
            notes=notes,
            history=history,
        )
    described = {"model": options.model, "seed": options.seed, "protocol": arguments.protocol}
    with tracked(options.report_to, folder, described | {"fold": arguments.fold}) as report:
        for step, record in enumerate((*history, figures)):
            report(record, step)
    sys.stderr.write(f"test accuracy {figures['test_accuracy']:.4f}; wrote {folder}\n")


def _logits(fitted: FittedBaseline, clips: Sequence[Clip]) -> "np.ndarray":
    import numpy as np

    return np.log(fitted.probabilities(clips) + LEAST_PROBABILITY)


_NOTES = (
    "The validation figures are those of a model fitted without the validation clips; this one learned from "
    "them as well. No choice was made on test clips."
)
_NOTES_WITHOUT_VALIDATION = "Everything was fixed before the fit; no choice was made on test clips."
_NOTES_VALIDATION_APART = (
    "The validation clips come from corpora of their own and were not learned from; no choice was made on "
    "test clips."
)


if __name__ == "__main__":
    sys.exit(main())
