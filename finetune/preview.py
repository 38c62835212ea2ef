"""A picture of what a model hears: some clips before and after augmentation.

python -m finetune.preview --clips 4 --out preview.png
"""

import argparse
import sys
from pathlib import Path

from finetune.corpus.loading import DATASET_HELP, load_corpus
from finetune.corpus.splits import make_split
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    natural_number,
    path_argument,
    positive_int,
    reports_user_errors,
)
from inference.errors import UserError
from inference.vocabulary import add_vocabulary_argument

SUFFIXES = (".png", ".svg", ".pdf", ".jpg")


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.preview", description="Draws training clips before and after augmentation."
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    add_vocabulary_argument(parser)
    parser.add_argument("--clips", type=positive_int, default=4, help="how many (default: %(default)s)")
    parser.add_argument(
        "--epochs", type=positive_int, default=4, help="variations of each (default: %(default)s)"
    )
    parser.add_argument("--seed", type=natural_number, default=0, help="of choice and variations")
    parser.add_argument("--out", type=path_argument, default=Path("preview.png"), help="picture to write")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    if options.out.suffix not in SUFFIXES or options.out.is_dir():
        raise UserError(f"--out {options.out}: expected a file that ends in {', '.join(SUFFIXES)}.")
    # Imported here: --help need not wait for scipy and matplotlib.
    from finetune.augmentation import MAX_BABBLE_VOICES, AugmentationSettings, augment, clip_generator
    from finetune.plots import draw_clips

    clips = make_split(load_corpus(options.dataset).clips).train
    chooser = clip_generator(options.seed, 0, "preview")
    rows = []
    for place in chooser.permutation(len(clips))[: options.clips]:
        clip = clips[place]
        drawn = [clips[other] for other in chooser.integers(len(clips), size=MAX_BABBLE_VOICES)]
        voices = [other.waveform() for other in drawn if other.speaker != clip.speaker]
        waveform = clip.waveform()
        variations = [
            augment(
                waveform, AugmentationSettings(), clip_generator(options.seed, epoch, clip.clip_id), voices
            )
            for epoch in range(options.epochs)
        ]
        rows.append((clip.clip_id, waveform, variations))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    draw_clips(rows, options.out)
    sys.stderr.write(f"wrote {options.out}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
