"""Fits a small baseline on the same splits as the big models.

    python -m finetune.fit_baseline --model mfcc-svm --dataset FOLDER --out runs/mfcc
    python -m finetune.fit_baseline --model logmel-dscnn --protocol loso --out runs/logmel-dscnn-loso

The protocol ``loso`` without ``--fold`` fits every fold; stopped and started again with the same
command, it goes on with the folds that are missing.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.corpus.loading import DATASET_HELP, Clip, Corpus, environment_prefix, load_corpus
from finetune.corpus.splits import PROTOCOLS, Split, make_split
from inference.command_line import EXIT_OK, natural_number, path_argument, positive_int, reports_user_errors
from inference.errors import UserError
from inference.prediction import OperatingPoint, Prediction, prediction_from_probabilities
from inference.vocabulary import REJECT_LABEL, add_vocabulary_argument, vocabulary

if TYPE_CHECKING:
    from finetune.baselines.recipe import Fitted

#: Model -> share of synthetic voices that it learns from by default.
MODELS = {"mfcc-svm": 0.0, "mfcc-logreg": 0.0, "mfcc-cnn": 0.4, "logmel-dscnn": 0.4, "speech-embedding": 0.4}
#: Fewest sounds that are no digit; in a test part they decide how finely a rate is known.
NUM_SOUNDS = 300
LEAST_PROBABILITY = 1e-12


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.fit_baseline", description="Fits a small baseline."
    )
    parser.add_argument(
        "--model", choices=MODELS, default="mfcc-svm", help="what to fit (default: %(default)s)"
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    add_vocabulary_argument(parser)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="official", help="default: %(default)s")
    parser.add_argument("--fold", help="held-out speaker of the protocol loso (default: each in turn)")
    parser.add_argument(
        "--seed", type=natural_number, default=0, help="of split and augmentation (default: 0)"
    )
    shares = ", ".join(f"{share} for {model}" for model, share in MODELS.items())
    parser.add_argument(
        "--synthetic_share",
        type=float,
        help=f"share of the training clips that are synthetic voices (default: {shares})",
    )
    parser.add_argument(
        "--steps", type=positive_int, help="optimizer steps of the networks (default: each one's own number)"
    )
    parser.add_argument(
        "--skip_validation",
        action="store_true",
        help="learn from the validation clips at once instead of fitting twice: no figures and no curve on "
        "clips that the model has not heard, in half the time",
    )
    parser.add_argument(
        "--reject",
        action="store_true",
        help="learn a class of sounds that are no digit (other words, broken digits, noise) as well, and "
        "calibrate when an answer is refused on validation clips",
    )
    parser.add_argument(
        "--reject_folder",
        type=path_argument,
        help="recordings of your own for that class, beside the made ones",
    )
    parser.add_argument(
        "--report_to",
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
    from finetune.baselines.recipe import STATISTICS_TITLES

    if options.synthetic_share is None:
        options.synthetic_share = MODELS[options.model]
    if options.reject and options.skip_validation:
        raise UserError("--reject is calibrated on validation clips: leave --skip_validation out.")
    if options.steps and options.model in STATISTICS_TITLES:
        raise UserError(f"--steps is for networks: {options.model} is fitted without.")
    if options.reject_folder and not options.reject:
        raise UserError("--reject_folder goes with --reject.")
    if options.report_to:
        from finetune.training.tracking import prepare_trackers

        prepare_trackers(options.report_to)  # before any work is done
    folder = options.out or Path("runs") / options.model
    corpus = load_corpus(options.dataset)
    words = ["python", "-m", "finetune.fit_baseline", *(sys.argv[1:] if argv is None else argv)]
    command = environment_prefix(options.dataset) + shlex.join(words)
    if options.protocol == "loso" and options.fold is None:
        # Imported here: --help must not wait for scipy and scikit-learn.
        from finetune.training.folds import run_folds

        names = ("model", "seed", "synthetic_share", "steps", "skip_validation", "reject")
        settings = {name: getattr(options, name) for name in names}
        settings["reject_folder"] = str(options.reject_folder)
        table = run_folds(corpus, folder, settings, command, partial(_fit, options, corpus, command))
        sys.stderr.write(f"{table.markdown()}\nwrote {folder / 'loso.md'}\n")
    else:
        _fit(options, corpus, command, options.fold, folder)
    return EXIT_OK


def _fit(options: argparse.Namespace, corpus: Corpus, command: str, fold: str | None, folder: Path) -> None:
    """Fits one split and writes its checkpoint."""
    from finetune.baselines.recipe import recipe
    from finetune.checkpoint.calibration import write_calibration
    from finetune.checkpoint.writer import Run, prepare_folder, write_checkpoint
    from finetune.corpus.synthetic import with_synthetic
    from finetune.training.resumption import write_failures_explained
    from finetune.training.tracking import tracked

    split = make_split(corpus.clips, options.protocol, options.seed, fold)
    if options.skip_validation:
        split = split.without_validation()
    split = with_synthetic(split, options.synthetic_share, corpus.name)
    prepare_folder(folder)
    sys.stderr.write(f"{corpus.description}; {split.caption}\n")
    chosen = recipe(options.model, options.seed, options.steps)
    sounds = partial(_sounds, options, split) if options.reject else lambda part: ()
    figures: dict[str, float] = {}
    history: list[dict[str, float]] = []
    operating_point = None
    if split.validation:
        # A model that has not heard the validation clips: its curve, figures and operating point.
        validated = chosen.fit((*split.lessons, *sounds("train")), split.validation)
        figures = {"validation_clips": len(split.validation)}
        figures |= _figures("validation", validated, split.validation)
        history = validated.history
        if options.reject:
            operating_point = _calibrate(validated, split.validation, sounds("validation"))
    started = time.perf_counter()
    final = chosen.fit((*split.lessons, *split.validation, *sounds("train")), ())
    figures["fit_seconds"] = time.perf_counter() - started
    figures["test_clips"] = len(split.test)
    figures |= {**final.choices, **_figures("test", final, split.test)}
    if operating_point:
        figures |= _operating_point(operating_point, final, split.test, sounds("test"))
    figures["parameters"] = final.num_parameters
    run = Run(
        title=chosen.title,
        command=command,
        corpus=corpus,
        split=split,
        figures=figures,
        notes=_NOTES if split.validation else _NOTES_WITHOUT_VALIDATION,
        history=history or final.history,
        classes=(*vocabulary().labels, REJECT_LABEL) if options.reject else vocabulary().labels,
    )

    def save(unfinished: Path) -> None:
        final.save(unfinished)
        if operating_point:
            write_calibration(unfinished, operating_point)

    with write_failures_explained(folder):
        write_checkpoint(folder, save, chosen.contract, run)
    described = {"model": options.model, "seed": options.seed, "protocol": options.protocol, "fold": fold}
    with tracked(options.report_to, folder, described) as report:
        for step, record in enumerate((*run.history, figures)):
            report(record, step)
    sys.stderr.write(f"test accuracy {figures['test_accuracy']:.4f}; wrote {folder}\n")


def _sounds(options: argparse.Namespace, split: Split, part: str) -> tuple[Clip, ...]:
    """Sounds that are no digit, of one part of the split: to learn from, as many as there are recordings."""
    from finetune.corpus.non_words import nondigits

    digits = getattr(split, part)
    num_sounds = len(digits) if part == "train" else max(len(digits) // 4, NUM_SOUNDS)
    return nondigits(digits, part, num_sounds, options.reject_folder)


def _calibrate(fitted: "Fitted", digits: Sequence[Clip], others: Sequence[Clip]) -> OperatingPoint:
    import numpy as np

    from finetune.checkpoint.calibration import calibrate
    from finetune.corpus.in_noise import heard

    digits, others = (*digits, *heard(digits)), (*others, *heard(others))
    references = np.array([vocabulary().label2id[clip.label] for clip in digits])
    return calibrate(
        np.log(fitted.probabilities(digits) + LEAST_PROBABILITY),
        references,
        np.log(fitted.probabilities(others) + LEAST_PROBABILITY),
    )


def _operating_point(
    operating_point: OperatingPoint, fitted: "Fitted", digits: Sequence[Clip], others: Sequence[Clip]
) -> dict[str, float]:
    """Rates of the stored operating point on test digits and on test sounds."""
    digits_rate, others_rate = (
        sum(
            operating_point.reason(prediction) is None
            for prediction in _predictions(operating_point, fitted, clips)
        )
        / len(clips)
        for clips in (digits, others)
    )
    return {
        "test_digits_refused": 1.0 - digits_rate,
        "test_sounds_without_a_digit": len(others),
        "test_sounds_shown_as_a_digit": others_rate,
    }


def _predictions(
    operating_point: OperatingPoint, fitted: "Fitted", clips: Sequence[Clip]
) -> list[Prediction]:
    import numpy as np

    from finetune.checkpoint.calibration import log_softmax

    logits = np.log(fitted.probabilities(clips) + LEAST_PROBABILITY) / operating_point.temperature
    return [prediction_from_probabilities(row) for row in np.exp(log_softmax(logits))]


def _figures(part: str, fitted: "Fitted", clips: Sequence[Clip]) -> dict[str, float]:
    from finetune.metrics import macro_f1

    answers = fitted.probabilities(clips)[:, : len(vocabulary().labels)].argmax(axis=1).tolist()
    references = [vocabulary().label2id[clip.label] for clip in clips]
    hits = sum(answer == reference for answer, reference in zip(answers, references, strict=True))
    return {
        f"{part}_accuracy": hits / len(clips),
        f"{part}_macro_f1": macro_f1(answers, references),
    }


_NOTES = (
    "The validation figures are those of a model fitted without the validation clips; this one learned from "
    "them as well. No choice was made on test clips."
)
_NOTES_WITHOUT_VALIDATION = "Everything was fixed before the fit; no choice was made on test clips."


if __name__ == "__main__":
    sys.exit(main())
