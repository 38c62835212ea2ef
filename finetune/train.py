"""Fine-tunes Wav2Vec2 (or any encoder of raw waveforms) with a classification head.

    accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small.yaml
    python -m finetune.train --model facebook/wav2vec2-base --dataset FOLDER --output_dir runs/mine

Options on the command line win over those of the configuration file. Started again with the same
command after a kill, it goes on from the last checkpoint that was saved.
"""

import shlex
import sys

from accelerate import PartialState

from finetune.command_line import Arguments, parse_arguments
from finetune.corpus import environment_prefix
from finetune.fine_tuning import fine_tune
from inference.cli import EXIT_OK, reports_user_errors


def command_line(arguments: Arguments, words: list[str]) -> str:
    """What to type for this run."""
    program = ["accelerate", "launch", "finetune/train.py"]
    if arguments.training.world_size > 1:
        program[2:2] = ["--multi_gpu", "--num_processes", str(arguments.training.world_size)]
    return environment_prefix(arguments.data.dataset) + shlex.join([*program, *words])


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    words = sys.argv[1:] if argv is None else argv
    arguments = parse_arguments(words)
    fine_tune(arguments, command_line(arguments, words))
    # Several processes part together: one that leaves while the threads of its process group still
    # run may be aborted by the C++ runtime after its work is done.
    PartialState().destroy_process_group()
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
