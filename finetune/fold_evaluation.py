"""Asks the folds of one or more models together and writes the table of the ensemble.

    python -m finetune.fold_evaluation mfcc=runs/mfcc-svm-loso logmel-dscnn=runs/logmel-dscnn-loso

Every held-out speaker is answered by the folds that have not heard that speaker.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from finetune.corpus.loading import DATASET_HELP, Clip, Corpus, environment_prefix, load_corpus
from inference.backends.table import BACKENDS
from inference.command_line import EXIT_OK, path_argument, reports_user_errors
from inference.errors import UserError
from inference.vocabulary import add_vocabulary_argument


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m finetune.fold_evaluation", description="Accuracy of folds asked together."
    )
    parser.add_argument(
        "members", nargs="+", metavar="BACKEND=FOLDER", help="a backend and the folder of its finished folds"
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    add_vocabulary_argument(parser)
    parser.add_argument(
        "--out", type=path_argument, default=Path("runs/ensemble-loso"), help="default: %(default)s"
    )
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    from finetune.corpus.splits import make_split
    from finetune.training.folds import FoldTable
    from inference.backends.table import load_backend

    members = dict(map(_member, options.members))
    corpus = load_corpus(options.dataset)
    num_clips: dict[str, int] = {}
    accuracy: dict[str, float] = {}
    for speaker in corpus.speakers:
        test = make_split(corpus.clips, "loso", fold=speaker).test
        folds = {name: folder / speaker for name, folder in members.items()}
        for folder in folds.values():
            _check_held_out(folder, corpus, test)
        if len(folds) > 1:
            parts = "+".join(f"{name}={folder}" for name, folder in folds.items())
            backend = load_backend("ensemble", parts)
        else:
            ((name, folder),) = folds.items()
            backend = load_backend(name, str(folder))
        answers = backend.predict([clip.waveform() for clip in test])
        hits = sum(answer.label == clip.label for answer, clip in zip(answers, test, strict=True))
        num_clips[speaker], accuracy[speaker] = len(test), hits / len(test)
    words = ["python", "-m", "finetune.fold_evaluation", *(sys.argv[1:] if argv is None else argv)]
    command = environment_prefix(options.dataset) + shlex.join(words)
    table = FoldTable(command, corpus.description, num_clips, accuracy)
    options.out.mkdir(parents=True, exist_ok=True)
    table.write(options.out)
    sys.stderr.write(f"{table.markdown()}\nwrote {options.out / 'loso.md'}\n")
    return EXIT_OK


def _member(text: str) -> tuple[str, Path]:
    """Backend and folder of one argument."""
    name, separator, folder = text.partition("=")
    if not separator or not folder:
        raise UserError(f"{text}: expected BACKEND=FOLDER, such as mfcc=runs/mfcc-loso.")
    if name not in BACKENDS:
        raise UserError(f"{text}: unknown backend {name}; choose one of: {', '.join(BACKENDS)}.")
    return name, Path(folder)


def _check_held_out(folder: Path, corpus: Corpus, test: Sequence[Clip]) -> None:
    """Refuses a fold that was trained on its test clips or on their speaker, or does not tell."""
    from finetune.checkpoint.split_card import CARD_NAME, read_split_card

    card = read_split_card(folder)
    if card is None:
        raise UserError(f"{folder} has no {CARD_NAME}; expected a fold made with --protocol loso.")
    if card.leaked(corpus, test, held_out_speakers=True):
        raise UserError(
            f"{folder} was trained on {test[0].speaker}, the speaker whom this fold is to meet for the first "
            "time; expected one made with --protocol loso."
        )


if __name__ == "__main__":
    sys.exit(main())
