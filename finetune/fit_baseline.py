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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.corpus import DATASET_HELP, Clip, Corpus, environment_prefix, load_corpus
from finetune.corpus.splits import PROTOCOLS, Split, make_split
from inference.cli import EXIT_OK, natural_number, positive_int, reports_user_errors

if TYPE_CHECKING:
    from finetune.baselines import Fitted, Recipe

#: Model -> share of synthetic voices that it learns from by default.
MODELS = {"mfcc-svm": 0.0, "mfcc-logreg": 0.0, "mfcc-cnn": 0.4, "logmel-dscnn": 0.4}


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.fit_baseline", description="Fits a small baseline."
    )
    parser.add_argument(
        "--model", choices=MODELS, default="mfcc-svm", help="what to fit (default: %(default)s)"
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
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
        "--steps", type=positive_int, default=1500, help="optimizer steps of the networks (default: 1500)"
    )
    parser.add_argument(
        "--skip_validation",
        action="store_true",
        help="learn from the validation clips at once instead of fitting twice: no figures and no curve on "
        "clips that the model has not heard, in half the time",
    )
    parser.add_argument("--out", type=Path, help="checkpoint folder to write (default: runs/MODEL)")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    if options.synthetic_share is None:
        options.synthetic_share = MODELS[options.model]
    folder = options.out or Path("runs") / options.model
    corpus = load_corpus(options.dataset)
    words = ["python", "-m", "finetune.fit_baseline", *(sys.argv[1:] if argv is None else argv)]
    command = environment_prefix(options.dataset) + shlex.join(words)
    if options.protocol == "loso" and options.fold is None:
        # Imported here: --help must not wait for scipy and scikit-learn.
        from finetune.folds import run_folds

        names = ("model", "seed", "synthetic_share", "steps", "skip_validation")
        settings = {name: getattr(options, name) for name in names}
        table = run_folds(corpus, folder, settings, command, partial(_fit, options, corpus, command))
        sys.stderr.write(f"{table.markdown()}\nwrote {folder / 'loso.md'}\n")
    else:
        _fit(options, corpus, command, options.fold, folder)
    return EXIT_OK


def _fit(options: argparse.Namespace, corpus: Corpus, command: str, fold: str | None, folder: Path) -> None:
    """Fits one split and writes its checkpoint."""
    from finetune.baselines import recipe
    from finetune.checkpoint import Run, prepare_folder, write_checkpoint
    from finetune.corpus.synthetic import with_synthetic

    split = make_split(corpus.clips, options.protocol, options.seed, fold)
    if options.skip_validation:
        split = replace(split, train=(*split.train, *split.validation), validation=())
    split = with_synthetic(split, options.synthetic_share, corpus.name)
    prepare_folder(folder)
    sys.stderr.write(f"{corpus.description}; {split.caption}\n")
    chosen = recipe(options.model, options.seed, options.steps)
    figures, history = _validate(chosen, split)
    started = time.perf_counter()
    final = chosen.fit((*split.lessons, *split.validation), ())
    figures["fit_seconds"] = time.perf_counter() - started
    figures["test_clips"] = len(split.test)
    figures |= {**final.choices, **_figures("test", final, split.test)}
    figures["parameters"] = final.num_parameters
    run = Run(
        title=chosen.title,
        command=command,
        corpus=corpus,
        split=split,
        figures=figures,
        notes=_NOTES if split.validation else _NOTES_WITHOUT_VALIDATION,
        history=history or final.history,
    )
    write_checkpoint(folder, final.save, chosen.contract, run)
    sys.stderr.write(f"test accuracy {figures['test_accuracy']:.4f}; wrote {folder}\n")


def _validate(chosen: "Recipe", split: Split) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Figures and history of a model that has not heard the validation clips."""
    if not split.validation:
        return {}, []
    fitted = chosen.fit(split.lessons, split.validation)
    figures: dict[str, float] = {"validation_clips": len(split.validation)}
    return figures | _figures("validation", fitted, split.validation), fitted.history


def _figures(part: str, fitted: "Fitted", clips: Sequence[Clip]) -> dict[str, float]:
    from scipy.stats import binomtest

    from finetune.metrics import macro_f1
    from inference.labels import label2id

    answers = fitted.probabilities(clips).argmax(axis=1).tolist()
    references = [label2id[clip.label] for clip in clips]
    hits = sum(answer == reference for answer, reference in zip(answers, references, strict=True))
    interval = binomtest(hits, len(clips)).proportion_ci(0.95, method="wilson")
    return {
        f"{part}_accuracy": hits / len(clips),
        f"{part}_accuracy_from (95 % Wilson)": interval.low,
        f"{part}_accuracy_to (95 % Wilson)": interval.high,
        f"{part}_macro_f1": macro_f1(answers, references),
    }


_NOTES = (
    "The validation figures are those of a model fitted without the validation clips; this one learned from "
    "them as well. No choice was made on test clips."
)
_NOTES_WITHOUT_VALIDATION = "Everything was fixed before the fit; no choice was made on test clips."


if __name__ == "__main__":
    sys.exit(main())
