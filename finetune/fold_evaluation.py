"""Asks the folds of one or more models together and writes the table of the ensemble.

    python -m finetune.fold_evaluation mfcc=runs/mfcc-svm-loso logmel-dscnn=runs/logmel-dscnn-loso

Every held-out speaker is answered by the folds that have not heard that speaker.
"""

import argparse
import shlex
import sys
from pathlib import Path

from finetune.corpus import DATASET_HELP, environment_prefix, load_corpus
from inference.cli import EXIT_OK, reports_user_errors
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
    parser.add_argument("--out", type=Path, default=Path("runs/ensemble-loso"), help="default: %(default)s")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    from finetune.corpus.splits import make_split
    from finetune.folds import FoldTable
    from inference.backends import load_backend

    corpus = load_corpus(options.dataset)
    num_clips: dict[str, int] = {}
    accuracy: dict[str, float] = {}
    for speaker in corpus.speakers:
        test = make_split(corpus.clips, "loso", fold=speaker).test
        members = [f"{member}/{speaker}" for member in options.members]
        if len(members) > 1:
            backend = load_backend("ensemble", "+".join(members))
        else:
            name, _, folder = members[0].partition("=")
            backend = load_backend(name, folder)
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


if __name__ == "__main__":
    sys.exit(main())
