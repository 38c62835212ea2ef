"""Recognises audio files: one line each, or one line per spoken word of long recordings.

    python -m inference.predict FILE_OR_FOLDER... [--backend NAME] [--segments] [--json]

Exit code: 0 if every file was answered, 1 if some could not be read, 2 after a mistake of usage.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from inference.audio_files import AUDIO_SUFFIXES, list_audio
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    add_backend_arguments,
    chosen_options,
    path_argument,
    reports_user_errors,
)
from inference.errors import AudioError

if TYPE_CHECKING:
    from inference.backends.base import Backend
    from inference.live.engine.events import Word
    from inference.prediction import Answer

EXIT_SOME_UNREADABLE = 1


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m inference.predict", description="Recognises spoken words in audio files."
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
        "--segments",
        action="store_true",
        help="find the words of recordings of any length: one line each with its start and end in seconds",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line: path, label, score, hypothesis, reason, error; with --segments also "
        "start_s, end_s",
    )
    return parser


def find_audio(paths: Iterable[Path]) -> Iterator[tuple[Path, str | None]]:
    """Lists files: each path that is no folder as it is, and the audio files below each folder.

    What a folder holds besides is counted on stderr.

    Yields:
        A path with None, or with the reason why it leads to no audio.
    """
    for path in paths:
        if not path.is_dir():
            yield path, None  # one that does not exist is reported in its turn
            continue
        listing = list_audio(path)
        if listing.summary:
            print(f"{path}: {listing.summary}", file=sys.stderr)
        yield from ((file, None) for file in listing.files)
        yield from ((folder, f"cannot be listed: {reason}") for folder, reason in listing.unlisted)
        if not listing.files and not listing.unlisted:
            yield path, f"holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})"


def predict_file(backend: "Backend", path: Path) -> "Answer":
    """Recognises one file; AudioError if it cannot be read."""
    from inference.audio import decode_audio

    (prediction,) = backend.predict([decode_audio(path)])
    return backend.operating_point.decide(prediction)


def predict_words(backend: "Backend", name: str, path: Path) -> "Iterator[Word]":
    """Endpoints a recording of any length as the microphone does, and recognises its words in order.

    Args:
        backend: Recognises the words.
        name: Its name, for messages.
        path: The audio file.

    Yields:
        The words; without latency.

    Raises:
        AudioError: If the file cannot be read.
    """
    from inference.live.engine.events import Event, Utterance
    from inference.live.recognition import UtteranceRecogniser, build_engine
    from inference.live.source.items import Block, Opening
    from inference.live.source.replay import Replay

    engine, recogniser = build_engine(backend), UtteranceRecogniser(backend, name)

    def words(events: list[Event]) -> "Iterator[Word]":
        return (recogniser.answer(event) for event in events if isinstance(event, Utterance))

    for item in Replay(str(path)).stream():
        if isinstance(item, Opening):
            engine.skip(0, item.sampling_rate)
        elif isinstance(item, Block):
            yield from words(engine.push(item.waveform))
    yield from words(engine.flush())


@dataclass(frozen=True)
class Line:
    """What is said of one file, or of one word in it.

    Attributes:
        label: The label, None where the answer was rejected.
        score: The backend's score for its best label, None where it has none.
        hypothesis: A text recogniser's raw text.
        reason: Why there is no label, or the rule that mapped the text.
        start_s: Where a word begins, None for a whole file.
        end_s: Where it ends.
        error: Why the file cannot be read; the others are then None.
    """

    label: str | None = None
    score: float | None = None
    hypothesis: str | None = None
    reason: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    error: str | None = None


def file_line(answer: "Answer") -> Line:
    """The line of a whole file."""
    prediction = answer.prediction
    return Line(answer.label, prediction.score, prediction.hypothesis, answer.reason or prediction.reason)


def word_line(word: "Word") -> Line:
    """The line of a word in a file."""
    from inference.audio import SAMPLING_RATE

    start_s, end_s = (round(position / SAMPLING_RATE, 3) for position in (word.start, word.end))
    return replace(file_line(word.answer), start_s=start_s, end_s=end_s)


def as_record(path: Path, line: Line, segments: bool) -> dict[str, object]:
    """One JSON line; every line has the same keys."""
    times = {"start_s": line.start_s, "end_s": line.end_s} if segments else {}
    return {
        "path": str(path),
        **times,
        "label": line.label,
        "score": line.score,
        "hypothesis": line.hypothesis,
        "reason": line.reason,
        "error": line.error,
    }


def format_line(path: Path, line: Line) -> str:
    """One line for people: path, times of a word, label, score, and the raw text where there is one."""
    fields = [str(path)]
    if line.start_s is not None:
        fields += [f"{line.start_s:.3f}", f"{line.end_s:.3f}"]
    fields += [line.label or "-", "-" if line.score is None else f"{line.score:.3f}"]
    if line.hypothesis is not None:
        fields.append(repr(line.hypothesis))
    if line.label is None and line.reason:
        fields.append(line.reason)
    return "\t".join(fields)


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; see the module for the exit codes."""
    options = build_parser().parse_args(argv)
    from inference.backends.table import load_backend

    backend = load_backend(options.backend, options.checkpoint, options.threads, chosen_options(options))
    num_files = num_unreadable = 0
    for path, problem in find_audio(options.paths):
        num_files += 1
        try:
            if problem:
                raise AudioError(f"{path} {problem}.")
            if options.segments:
                for word in predict_words(backend, options.backend, path):
                    _write(path, word_line(word), options)
            else:
                _write(path, file_line(predict_file(backend, path)), options)
        except AudioError as error:
            num_unreadable += 1
            _write(path, Line(error=str(error)), options)
    if num_unreadable:
        print(f"{num_unreadable} of {num_files} files could not be read", file=sys.stderr)
        return EXIT_SOME_UNREADABLE
    return EXIT_OK


def _write(path: Path, line: Line, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(as_record(path, line, options.segments)), flush=True)
    elif line.error:
        print(f"{path}\terror\t{line.error}", file=sys.stderr, flush=True)
    else:
        print(format_line(path, line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
