"""Gives a small encoder of raw waveforms a start: it learns to hear words as a large network hears them.

    python -m finetune.pretrain --out runs/wav2vec2-pretrained
    python -m finetune.pretrain --teacher openai/whisper-tiny.en --dataset recordings/ more/ --out runs/taught
    accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small-pretrained.yaml

The small encoder hears the words varied as in fine-tuning and is to tell, frame by frame, what the teacher
hears in the word as it was. Without ``--dataset`` all words are spoken by synthetic voices: such an encoder
serves every fold. Started again with the same command after a kill, it goes on from the last checkpoint that
was saved.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from finetune.training.data import DataArguments, add_data_arguments
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
#: Of the options that say what is learned from, those with a meaning where there are no labels.
DATA_OPTIONS = ("dataset", "max_clips_per_label", "protocol", "fold", "split_seed")


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.pretrain",
        description="Teaches a small encoder of raw waveforms what a large one hears.",
    )
    parser.add_argument(
        "--from-config", type=path_argument, default=CONFIG, help="architecture (default: %(default)s)"
    )
    parser.add_argument(
        "--teacher",
        default="speech-embedding",
        help="speech-embedding (Google's), or the Hub id or folder of a speech encoder, such as "
        "openai/whisper-tiny.en or facebook/wav2vec2-base (default: %(default)s)",
    )
    parser.add_argument(
        "--teacher-layer",
        type=positive_int,
        metavar="N",
        help="teach the output of this layer of a speech encoder, from 1 (default: the last)",
    )
    add_vocabulary_argument(parser)
    add_data_arguments(parser, {}, DATA_OPTIONS)
    parser.add_argument(
        "--non-words",
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="folders of recordings of other words",
    )
    parser.add_argument(
        "--words",
        type=positive_int,
        default=7000,
        help="other words that synthetic voices speak, beside those of the vocabulary (default: %(default)s)",
    )
    parser.add_argument("--steps", type=positive_int, default=5000, help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive_int, default=64, help="default: %(default)s")
    parser.add_argument("--learning-rate", type=positive_float, default=1.5e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=natural_number, default=0, help="default: %(default)s")
    parser.add_argument("--out", type=path_argument, default=Path("runs/wav2vec2-pretrained"))
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    command = shareable_command(
        "python", "-m", "finetune.pretrain", *(sys.argv[1:] if argv is None else argv)
    )
    data = (
        DataArguments(**{name: getattr(options, name) for name in DATA_OPTIONS}) if options.dataset else None
    )
    # Imported here: --help must not wait for torch.
    from finetune.training.distillation import distil
    from finetune.training.lessons import gather_lessons

    distil(
        options.from_config,
        options.teacher,
        options.teacher_layer,
        partial(gather_lessons, data, options.non_words or [], options.words),
        options.out,
        (data.environment_prefix if data else "") + command,
        num_steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    sys.stderr.write(f"wrote {options.out}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
