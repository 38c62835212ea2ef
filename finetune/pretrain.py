"""Gives a small encoder of raw waveforms a start: it learns to hear words as Google's speech embedding does.

    python -m finetune.pretrain --out runs/wav2vec2-pretrained
    accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small-pretrained.yaml

The words are spoken by synthetic voices and varied as in fine-tuning, while the embedding that is to be
told from them is that of the word as it was (knowledge distillation; Hinton et al. 2015,
https://arxiv.org/abs/1503.02531). No recording takes part, so one pretrained encoder serves every fold.
Started again with the same command after a kill, it goes on from the last checkpoint that was saved.
"""

import argparse
import sys
from pathlib import Path

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
from inference.vocabulary import add_vocabulary_argument

CONFIG = Path(__file__).parent / "configs" / "wav2vec2-small.json"


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.pretrain",
        description="Pretrains a small encoder of raw waveforms on synthetic voices.",
        renamed={"--output-dir": "--out"},
    )
    parser.add_argument(
        "--from-config", type=path_argument, default=CONFIG, help="architecture (default: %(default)s)"
    )
    parser.add_argument(
        "--words", type=positive_int, default=7000, help="spoken words to learn from (default: %(default)s)"
    )
    parser.add_argument("--steps", type=positive_int, default=5000, help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive_int, default=64, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=positive_float, default=1.5e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=natural_number, default=0, help="default: %(default)s")
    add_vocabulary_argument(parser)
    parser.add_argument("--out", type=path_argument, default=Path("runs/wav2vec2-pretrained"))
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    command = shareable_command(
        "python", "-m", "finetune.pretrain", *(sys.argv[1:] if argv is None else argv)
    )
    # Imported here: --help must not wait for torch.
    from finetune.training.distillation import distil

    distil(
        options.from_config,
        options.out,
        command,
        num_words=options.words,
        num_steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    sys.stderr.write(f"wrote {options.out}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
