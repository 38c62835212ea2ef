"""Fits a small baseline on the same splits as the big models.

    python -m finetune.fit_baseline --model mfcc-svm --dataset FOLDER --out runs/mfcc
    python -m finetune.fit_baseline --model mfcc-svm --protocol loso --out runs/mfcc-loso

The protocol ``loso`` without ``--fold`` fits every fold; stopped and started again with the same
command, it goes on with the folds that are missing.
"""

import argparse
import shlex
import sys
import time
from functools import partial
from pathlib import Path

from finetune.corpus import DATASET_HELP, Corpus, environment_prefix, load_corpus
from finetune.corpus.splits import PROTOCOLS, make_split
from inference.cli import EXIT_OK, natural_number, reports_user_errors

MODELS = ("mfcc-svm",)


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.fit_baseline", description="Fits a small baseline."
    )
    parser.add_argument(
        "--model", choices=MODELS, default=MODELS[0], help="what to fit (default: %(default)s)"
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="official", help="default: %(default)s")
    parser.add_argument("--fold", help="held-out speaker of the protocol loso (default: each in turn)")
    parser.add_argument(
        "--seed", type=natural_number, default=0, help="of split and augmentation (default: 0)"
    )
    parser.add_argument(
        "--synthetic-share",
        type=float,
        default=0.0,
        help="share of the training clips that are synthetic voices (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/mfcc"), help="checkpoint folder to write")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    corpus = load_corpus(options.dataset)
    words = ["python", "-m", "finetune.fit_baseline", *(sys.argv[1:] if argv is None else argv)]
    command = environment_prefix(options.dataset) + shlex.join(words)
    if options.protocol == "loso" and options.fold is None:
        # Imported here: --help must not wait for scipy and scikit-learn.
        from finetune.folds import run_folds

        settings = {"model": options.model, "seed": options.seed, "synthetic": options.synthetic_share}
        table = run_folds(corpus, options.out, settings, command, partial(_fit, options, corpus, command))
        sys.stderr.write(f"{table.markdown()}\nwrote {options.out / 'loso.md'}\n")
    else:
        _fit(options, corpus, command, options.fold, options.out)
    return EXIT_OK


def _fit(options: argparse.Namespace, corpus: Corpus, command: str, fold: str | None, folder: Path) -> None:
    """Fits one split and writes its checkpoint."""
    from finetune.baselines.svm import fit_svm, save_svm, svm_accuracy
    from finetune.checkpoint import Run, prepare_folder, write_checkpoint
    from finetune.corpus.synthetic import with_synthetic
    from inference.crop import CropContract
    from inference.features import FeatureSettings

    split = make_split(corpus.clips, options.protocol, options.seed, fold)
    split = with_synthetic(split, options.synthetic_share, corpus.name)
    prepare_folder(folder)
    sys.stderr.write(f"{corpus.description}; {split.caption}\n")
    settings, contract = FeatureSettings(), CropContract(min_ms=100)
    fit = partial(fit_svm, settings=settings, contract=contract, seed=options.seed)
    # Validated without the validation clips, then fitted anew with them: nothing is left to choose.
    validated = fit(split.lessons)
    figures = {
        "validation_clips": len(split.validation),
        "validation_accuracy": svm_accuracy(validated, split.validation, settings, contract),
    }
    started = time.perf_counter()
    final = fit((*split.lessons, *split.validation))
    figures["fit_seconds"] = time.perf_counter() - started
    figures["test_clips"] = len(split.test)
    figures["test_accuracy"] = svm_accuracy(final, split.test, settings, contract)
    figures["parameters"] = final.num_parameters
    run = Run(
        title="MFCC statistics and an RBF support vector machine for spoken digits",
        command=command,
        corpus=corpus,
        split=split,
        figures=figures,
        notes="The validation figure is that of a model fitted without the validation clips; this one saw "
        "them as well. No choice was made on test clips.",
        history=[],
    )
    write_checkpoint(folder, partial(save_svm, final, settings), contract, run)
    sys.stderr.write(
        f"validation accuracy {figures['validation_accuracy']:.4f}, "
        f"test accuracy {figures['test_accuracy']:.4f}; wrote {folder}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
