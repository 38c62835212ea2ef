"""Recognises audio files: one line each.

    python -m inference.predict FILE_OR_FOLDER... [--backend NAME] [--json]

Exit code: 0 if every file was answered, 1 if some could not be read, 2 after a mistake of usage.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from inference.cli import (
    EXIT_OK,
    add_backend_arguments,
    chosen_options,
    path_argument,
    register_backend_modules,
    reports_user_errors,
)
from inference.errors import AudioError

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
        "paths",
        nargs="+",
        type=path_argument,
        metavar="FILE_OR_FOLDER",
        help="folders are searched recursively",
    )
    add_backend_arguments(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line: path, label, score, hypothesis, reason, error",
    )
    return parser


def find_audio(paths: Iterable[Path]) -> Iterator[tuple[Path, str | None]]:
    """Lists files: each path that is no folder as it is, and the audio files below each folder.

    Yields:
        A path with None, or with the reason why it leads to no audio.
    """
    for path in paths:
        if not path.is_dir():
            yield path, None  # one that does not exist is reported in its turn
            continue
        unlisted: list[OSError] = []
        found = [
            Path(folder, name)
            for folder, _, names in os.walk(path, onerror=unlisted.append)
            for name in names
            if Path(name).suffix.lower() in AUDIO_SUFFIXES
        ]
        yield from ((file, None) for file in sorted(found))
        yield from ((Path(error.filename), f"cannot be listed: {error.strerror}") for error in unlisted)
        if not found and not unlisted:
            yield path, f"holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})"


def predict_file(backend: "DigitBackend", path: Path) -> "Prediction":
    """Recognises one file; AudioError if it cannot be read."""
    from inference.audio import decode_audio

    return backend.predict([decode_audio(path)])[0]


def as_record(path: Path, prediction: "Prediction | None", error: str | None) -> dict[str, object]:
    """One JSON line; every line has the same keys."""
    return {
        "path": str(path),
        "label": prediction.label if prediction else None,
        "score": prediction.score if prediction else None,
        "hypothesis": prediction.hypothesis if prediction else None,
        "reason": prediction.reason if prediction else None,
        "error": error,
    }


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
    register_backend_modules(argv)
    options = build_parser().parse_args(argv)
    # File names need not be valid text.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    from inference.backends import load_backend

    backend = load_backend(options.backend, options.checkpoint, options.threads, chosen_options(options))
    num_files = num_unreadable = 0
    for path, problem in find_audio(options.paths):
        num_files += 1
        prediction = None
        try:
            if problem:
                raise AudioError(f"{path} {problem}.")
            prediction = predict_file(backend, path)
        except AudioError as error:
            num_unreadable += 1
            problem = str(error)
        if options.json:
            print(json.dumps(as_record(path, prediction, problem)), flush=True)
        elif prediction is None:
            print(f"{path}\terror\t{problem}", file=sys.stderr, flush=True)
        else:
            print(format_prediction(path, prediction), flush=True)
    if num_unreadable:
        print(f"{num_unreadable} of {num_files} files could not be read", file=sys.stderr)
        return EXIT_SOME_UNREADABLE
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
