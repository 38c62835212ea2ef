"""Recognises audio files: one line each.

    python -m inference.predict FILE_OR_FOLDER... [--backend NAME] [--json]

Exit code: 0 if every file was answered, 1 if some could not be read, 2 after a mistake of usage.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inference.cli import EXIT_OK, add_backend_arguments, reports_user_errors
from inference.errors import AudioError, UserError

if TYPE_CHECKING:
    from inference.backends.base import DigitBackend, Prediction

EXIT_SOME_UNREADABLE = 1
#: What is taken for audio inside a folder; a file named on the command line is always tried.
AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav", ".webm", ".wma"}
)


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.predict", description="Recognises one spoken digit per audio file."
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="folders are searched recursively"
    )
    add_backend_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line: path, label, score, error"
    )
    return parser


def find_audio(paths: Iterable[Path]) -> Iterator[Path]:
    """Lists files: each path that is no folder as it is, and the audio files below each folder.

    Raises:
        UserError: If a folder holds no audio file.
    """
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
            if not found:
                raise UserError(f"{path} holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))}).")
            yield from found
        else:
            yield path  # one that does not exist is reported in its turn


def predict_file(backend: "DigitBackend", path: Path) -> "Prediction":
    """Recognises one file; AudioError if it cannot be read."""
    from inference.audio import decode_audio

    return backend.predict([decode_audio(path)])[0]


def format_prediction(path: Path, prediction: "Prediction") -> str:
    """One line for people: path, digit, score, and the raw text where there is one."""
    answer = prediction.label if prediction.label is not None else "-"
    score = f"{prediction.score:.3f}" if prediction.score is not None else "-"
    text = f"\t{prediction.hypothesis!r}" if prediction.hypothesis is not None else ""
    reason = f"\t{prediction.reason}" if prediction.label is None and prediction.reason else ""
    return f"{path}\t{answer}\t{score}{text}{reason}"


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; see the module for the exit codes."""
    options = build_parser().parse_args(argv)
    files = list(find_audio(options.paths))
    from inference.backends import load_backend

    backend = load_backend(options.backend, options.checkpoint, options.threads)
    num_unreadable = 0
    for path in files:
        record: dict[str, object] = {"path": str(path), "label": None, "score": None, "error": None}
        try:
            prediction = predict_file(backend, path)
        except AudioError as error:
            num_unreadable += 1
            record["error"] = str(error)
            if not options.json:
                print(f"{path}\terror\t{error}", file=sys.stderr, flush=True)
        else:
            record |= {"label": prediction.label, "score": prediction.score}
            record |= {"hypothesis": prediction.hypothesis, "reason": prediction.reason}
            if not options.json:
                print(format_prediction(path, prediction), flush=True)
        if options.json:
            print(json.dumps(record), flush=True)
    if num_unreadable:
        print(f"{num_unreadable} of {len(files)} files could not be read", file=sys.stderr)
        return EXIT_SOME_UNREADABLE
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
