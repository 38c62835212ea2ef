"""Exports a fine-tuned classifier to ONNX or OpenVINO and checks its answers against PyTorch.

    python -m finetune.export CHECKPOINT --format onnx --out runs/mine-onnx
    python -m finetune.export CHECKPOINT --format openvino --precision int8 --out runs/mine-int8

The folder it writes is a checkpoint like any other: --backend wav2vec2 --checkpoint runs/mine-int8.
Exit code: 0, or 2 after a user's mistake or if the answers are no longer those of the checkpoint.
"""

import argparse
import sys
from pathlib import Path

from finetune.corpus.loading import DATASET_HELP
from inference.backends.wav2vec2.select_runtime import PRECISIONS
from inference.command_line import EXIT_OK, CommandLineParser, path_argument, reports_user_errors
from inference.vocabulary import add_vocabulary_argument

#: Format -> the runtime that reads it.
FORMATS = {"onnx": "onnxruntime", "openvino": "openvino"}


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.export", description="Exports a fine-tuned classifier, checked on its clips."
    )
    parser.add_argument("checkpoint", help="folder written by finetune.train")
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="what to write")
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "int8"),
        default="fp32",
        help="; ".join(f"{name}: {', '.join(PRECISIONS[runtime])}" for name, runtime in FORMATS.items())
        + "; int8 of openvino is calibrated on training clips (default: %(default)s)",
    )
    parser.add_argument("--out", type=path_argument, required=True, help="checkpoint folder to write")
    parser.add_argument("--dataset", default="auto", help=f"the corpus it was trained on: {DATASET_HELP}")
    add_vocabulary_argument(parser)
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line."""
    options = build_parser().parse_args(argv)
    # Imported here: --help must not wait for the corpus and the runtimes.
    from finetune.exporting import export_checkpoint

    out: Path = options.out
    figures = export_checkpoint(
        options.checkpoint, FORMATS[options.format], options.precision, out, options.dataset
    )
    for name, value in figures.items():
        sys.stderr.write(f"{name.replace('_', ' ')}: {value:.6g}\n")
    sys.stderr.write(f"wrote {out}\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
