"""Entry point: ``spoken-digits SUBCOMMAND ...``, every program of the project under one name.

A sub-command is a module with ``main(argv)``; it is imported by its name when it is asked for, so that
the ground floor knows nothing of those above and ``--help`` waits for none of them.
"""

import difflib
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import NamedTuple

from inference.command_line import COMMAND, EXIT_OK, reports_user_errors
from inference.errors import UserError
from inference.extras import missing_package


class Subcommand(NamedTuple):
    """One row of the help.

    Attributes:
        module: What ``python -m`` starts without its ``.__main__``; it has ``main(argv)``.
        summary: What it does, in a line.
    """

    module: str
    summary: str


#: Group -> sub-command -> what it runs.
GROUPS: dict[str, dict[str, Subcommand]] = {
    "recognise": {
        "predict": Subcommand("inference.predict", "words in audio files"),
        "listen": Subcommand("inference.live.__main__", "words from the microphone, or a replayed recording"),
        "serve": Subcommand("inference.app.__main__", "a page in the browser, and an HTTP service"),
        "wyoming": Subcommand("inference.wyoming", "speech to text for Home Assistant's satellites"),
        "weights": Subcommand("inference.weights.__main__", "fetch public weights, or list what lies here"),
    },
    "make a model": {
        "record": Subcommand("inference.record.__main__", "record words of your own, guided"),
        "corpus": Subcommand(
            "finetune.corpus.__main__", "look at recordings: copies, cut words, wrong labels"
        ),
        "train": Subcommand("finetune.train", "fine-tune Wav2Vec2 or its kin"),
        "fit": Subcommand("finetune.fit_baseline", "fit a small baseline: MFCC, CNN or speech embedding"),
        "pretrain": Subcommand("finetune.pretrain", "teach a small encoder what a large one hears"),
        "evaluate": Subcommand("finetune.evaluation", "figures of a checkpoint on its own split"),
        "preview": Subcommand("finetune.preview", "draw clips before and after augmentation"),
        "calibrate": Subcommand("finetune.calibrate", "choose when an answer of a backend is shown"),
        "export": Subcommand("finetune.export", "write a checkpoint for ONNX Runtime, OpenVINO or a page"),
    },
    "measure": {
        "bench": Subcommand("benchmarks.run.__main__", "accuracy, latency, size, memory, noise: one table"),
        "report": Subcommand("benchmarks.report", "tables, pictures and page of a run, from its records"),
        "compare": Subcommand("benchmarks.compare", "two runs: clips fixed and broken, differences"),
        "gate": Subcommand("benchmarks.gate", "hold a run against limits: pass, fail or undecided"),
        "doctor": Subcommand("benchmarks.doctor", "is this machine quiet enough to measure on?"),
        "bench-live": Subcommand("benchmarks.live.__main__", "delay, misses and false words of listening"),
        "bench-libraries": Subcommand(
            "benchmarks.against_libraries.__main__", "beside the plain library call, on the same weights"
        ),
        "bench-windows": Subcommand(
            "benchmarks.whisper_windows", "Whisper: window and silence on single words"
        ),
        "bench-learning": Subcommand(
            "benchmarks.learning_curve", "how much must be recorded? accuracy by clips of each word"
        ),
        "bench-features": Subcommand("benchmarks.ablation", "what each part of the MFCC models is worth"),
        "records": Subcommand("benchmarks.records.__main__", "layout of the records of a run"),
        "throughput": Subcommand("benchmarks.training_throughput.__main__", "clips a second in fine-tuning"),
    },
}
SUBCOMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def help_text() -> str:
    """All sub-commands with a line each."""
    width = max(map(len, SUBCOMMANDS))
    lines = [f"usage: {COMMAND} [--help] [--version] SUBCOMMAND ..."]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {row.summary}" for name, row in group.items())]
    return "\n".join([*lines, "", f"{COMMAND} SUBCOMMAND --help lists the options of one.", ""])


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Hands the words after a sub-command to its program and returns its exit code.

    Raises:
        UserError: If there is no such sub-command.
    """
    name, *words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(help_text())
        return EXIT_OK
    if name == "--version":
        try:
            version = importlib.metadata.version(COMMAND)
        except importlib.metadata.PackageNotFoundError:
            version = "is not installed: pip install -e ."
        sys.stdout.write(f"{COMMAND} {version}\n")
        return EXIT_OK
    if name not in SUBCOMMANDS:
        near = difflib.get_close_matches(name, SUBCOMMANDS, n=3, cutoff=0.4)
        meant = f"did you mean {' or '.join(near)}?" if near else f"{COMMAND} --help lists them."
        raise UserError(f"{name!r} is no sub-command of {COMMAND}; {meant}")
    # Where a program looks for its own name and options.
    sys.argv = [f"{COMMAND} {name}", *words]
    module = SUBCOMMANDS[name].module
    try:
        program = importlib.import_module(module)
    except ModuleNotFoundError as error:
        sentence = missing_package(error, module.partition(".")[0])
        if sentence is None:
            raise
        raise UserError(sentence) from error
    code: int = program.main(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
