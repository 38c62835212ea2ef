"""Recognises audio files: one line each, or one line per spoken word of long recordings.

    python -m inference.predict FILE_OR_FOLDER... [--backend NAME] [--segments] [--json | --csv | --top-k N]

Exit code: 0 if every file was answered, 1 if some could not be read, 2 after a mistake of usage.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from inference.answer_lines import LATENCY_NAMES, Line, as_record, as_row, format_line, word_line
from inference.audio_files import AUDIO_SUFFIXES, list_audio
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    add_backend_arguments,
    chosen_options,
    path_argument,
    positive_int,
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
        "--repeat",
        type=positive_int,
        metavar="N",
        help="recognise one file N times more and say how long a call takes: p50_ms, p95_ms, "
        "real_time_factor; decoding and loading are left out",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--top-k", type=positive_int, metavar="N", help="add the N best labels with their probabilities"
    )
    form.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line: path, label, score, probabilities, hypothesis, reason, error; with "
        "--segments also start_s, end_s",
    )
    form.add_argument("--csv", action="store_true", help="the same as a table, a column for each label")
    return parser


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line; exits with 2 on options that do not belong together."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.repeat and (options.segments or len(options.paths) > 1 or options.paths[0].is_dir()):
        parser.error("--repeat times one file: name one, without --segments")
    return options


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


def time_calls(backend: "Backend", path: Path, repeat: int) -> Line:
    """Recognises one file again and again, decoded once and after one call that does not count.

    Raises:
        AudioError: If it cannot be read.
    """
    from inference.audio import SAMPLING_RATE, decode_audio
    from inference.live.engine.timing import percentiles

    waveform = decode_audio(path)
    (prediction,) = backend.predict([waveform])
    calls_ms = []
    for _ in range(repeat):
        started = time.perf_counter()
        backend.predict([waveform])
        calls_ms.append(1e3 * (time.perf_counter() - started))
    figures = percentiles(calls_ms)
    audio_ms = 1e3 * repeat * waveform.size / SAMPLING_RATE
    values = (repeat, figures["p50"], figures["p95"], sum(calls_ms) / audio_ms)
    latency = {name: round(value, 5) for name, value in zip(LATENCY_NAMES, values, strict=True)}
    return Line(backend.operating_point.decide(prediction), latency=latency)


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; see the module for the exit codes."""
    options = parse_arguments(argv)
    from inference.backends.table import load_backend

    backend = load_backend(options.backend, options.checkpoint, options.threads, chosen_options(options))
    write = _writer(options)
    files = list(find_audio(options.paths))
    num_unreadable = 0
    for path, problem in _watched(files):
        try:
            if problem:
                raise AudioError(f"{path} {problem}.")
            if options.segments:
                for word in predict_words(backend, options.backend, path):
                    write(path, word_line(word))
            elif options.repeat:
                write(path, time_calls(backend, path, options.repeat))
            else:
                write(path, Line(predict_file(backend, path)))
        except AudioError as error:
            num_unreadable += 1
            write(path, Line(error=str(error)))
    if num_unreadable:
        print(f"{num_unreadable} of {len(files)} files could not be read", file=sys.stderr)
        return EXIT_SOME_UNREADABLE
    return EXIT_OK


def _watched(files: "list[tuple[Path, str | None]]") -> "Iterator[tuple[Path, str | None]]":
    """The files, with a bar on stderr where that is a terminal and they are several."""
    if len(files) < 2 or not sys.stderr.isatty():
        yield from files
        return
    from rich.console import Console
    from rich.progress import Progress

    # On a terminal lines are put above the bar; in a pipe or file they are left alone.
    to_terminal = sys.stdout.isatty()
    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=to_terminal) as progress:
        yield from progress.track(files, description="recognising")


def _writer(options: argparse.Namespace) -> Callable[[Path, Line], None]:
    """What writes a line in the form that was asked for."""
    if options.json:
        return lambda path, line: print(json.dumps(as_record(path, line, options.segments)), flush=True)
    if not options.csv:
        return partial(_write_plain, top_k=options.top_k or 0)
    latency = dict.fromkeys(LATENCY_NAMES) if options.repeat else {}
    empty = as_row({**as_record(Path(), Line(), options.segments), **latency})
    table = csv.DictWriter(sys.stdout, list(empty), lineterminator="\n")
    table.writeheader()

    def write(path: Path, line: Line) -> None:
        table.writerow(as_row(as_record(path, line, options.segments)))
        sys.stdout.flush()

    return write


def _write_plain(path: Path, line: Line, top_k: int) -> None:
    if line.error:
        print(f"{path}\terror\t{line.error}", file=sys.stderr, flush=True)
    else:
        print(format_line(path, line, top_k), flush=True)


if __name__ == "__main__":
    sys.exit(main())
