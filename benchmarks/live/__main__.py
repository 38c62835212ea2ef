"""Entry point: every figure of the live microphone beside its target.

python -m benchmarks.live --minutes 10 --backends mfcc wav2vec2
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.corpus.loading import DATASET_HELP, environment_prefix, load_corpus
from finetune.corpus.non_words import recorded_non_words
from finetune.corpus.splits import make_split
from inference.backends.table import BACKENDS, load_backend
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    path_argument,
    positive_int,
    reports_user_errors,
    shareable_command,
)
from inference.errors import UserError
from inference.files import write_text

if TYPE_CHECKING:
    from benchmarks.live.figures import Figure
    from benchmarks.live.stream import LabelledStream
    from finetune.corpus.clip import Clip
    from inference.backends.base import Backend

PARTS = ("stream", "strangers", "speech", "timing", "load", "idle", "callback", "noise", "words", "memory")
#: Parts that play through a virtual microphone.
PLAYED = {"stream", "timing", "load", "idle"}
#: Parts that use no clips of the corpus.
WITHOUT_CLIPS = {"strangers", "speech", "callback", "idle", "noise"}
#: Part -> option that names the recordings it needs.
RECORDINGS = {"strangers": "unheard", "speech": "other_words"}
EXIT_MISSED = 1
SNR_DB = 20.0
LOAD_SECONDS = 60.0
NUM_STRANGERS = 100
SEED = 0


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m benchmarks.live",
        description="Measures the live microphone, through a PulseAudio null sink and by replay.",
        epilog="Parts: stream (delay, misses, accuracy), strangers (100 words of people whom no model heard; "
        "needs --unheard), speech (digits printed while people say other words; needs --other-words), timing "
        "(delay of a full-size Wav2Vec2 with random "
        "weights), load (losses while the other cores are busy), idle (processor, start), callback, noise "
        "(false digits in an hour), words (other words and digits rejected), memory (8 h). A part that was "
        "measured is not measured again: its figures lie in --out. Exit code: 0 if every target is met, 1 if "
        "not, 2 after a mistake of usage.",
    )
    parser.add_argument("--backends", nargs="+", choices=list(BACKENDS), default=["mfcc", "wav2vec2"])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--minutes", type=positive_int, default=10, help="of the played stream (default: 10)")
    parser.add_argument("--dataset", help=f"{DATASET_HELP} (default: auto)")
    parser.add_argument(
        "--unheard", metavar="FOLDER", help="recordings of the vocabulary by people whom no model heard"
    )
    parser.add_argument("--other-words", metavar="FOLDER", help="recordings of other words")
    parser.add_argument(
        "--out", type=path_argument, default=Path("results/live"), help="folder (default: %(default)s)"
    )
    parser.add_argument("--again", action="store_true", help="measure parts again that --out holds already")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit codes as in ``--help``."""
    options = build_parser().parse_args(argv)
    if options.dataset and not set(options.parts) - WITHOUT_CLIPS:
        raise UserError(
            f"--dataset {options.dataset}: no clips are used by --parts {' '.join(options.parts)}."
        )
    options.dataset = options.dataset or "auto"
    from benchmarks.live.figures import read_parts, summary, write_part
    from benchmarks.measure.environment import describe_environment, environment_line

    options.out.mkdir(parents=True, exist_ok=True)
    words = shareable_command("python", "-m", "benchmarks.live", *(sys.argv[1:] if argv is None else argv))
    for part in options.parts:
        needed = RECORDINGS.get(part)
        if needed and not getattr(options, needed):
            sys.stderr.write(f"not measured: {part}, which needs --{needed.replace('_', '-')} FOLDER\n")
        elif options.again or part not in read_parts(options.out):
            sys.stderr.write(f"measuring: {part}\n")
            environment = environment_line(describe_environment(threads=1))
            command = environment_prefix(options.dataset) + words
            write_part(options.out, part, _measure(part, options), command, environment)
    text, figures = summary(options.out, PARTS)
    write_text(options.out / "summary.md", text)
    sys.stdout.write(f"{text}\nwrote {options.out}\n")
    return EXIT_MISSED if any(figure.is_met is False for figure in figures) else EXIT_OK


def _measure(part: str, options: argparse.Namespace) -> "list[Figure]":
    from benchmarks.live import played, replayed
    from benchmarks.live.virtual_microphone import missing_tool

    names = options.backends

    def of_each(measure: "Callable[..., list[Figure]]", *inputs: Any) -> "list[Figure]":
        return [figure for name in names for figure in measure(load_backend(name), name, *inputs)]

    if part in PLAYED and (problem := missing_tool()):
        raise UserError(f"the virtual microphone cannot be made: {problem}; or choose other --parts.")
    match part:
        case "stream":
            return _stream(_test_clips(options.dataset), options)
        case "timing":
            return _timing(_test_clips(options.dataset), options)
        case "load":
            return _load(_test_clips(options.dataset), options)
        case "idle":
            return [figure for name in names for figure in played.idle_figures(name)]
        case "noise":
            return of_each(replayed.noise_figures)
        case "strangers":
            return of_each(replayed.stranger_figures, _one_word_each(options.unheard))
        case "speech":
            others = [clip.waveform() for clip in recorded_non_words([options.other_words])]
            return of_each(replayed.speech_figures, others)
        case "words":
            return of_each(replayed.word_figures, _test_clips(options.dataset))
        case "memory":
            clips = _test_clips(options.dataset)
            return replayed.memory_figures(load_backend(names[0]), names[0], clips)
    return played.callback_figures()


def _stream(clips: "list[tuple[str, Any]]", options: argparse.Namespace) -> "list[Figure]":
    from benchmarks.live import played
    from benchmarks.live.stream import build_stream

    stream = build_stream(itertools.cycle(clips), SNR_DB, 60.0 * options.minutes, SEED)
    said = list(itertools.islice(itertools.cycle(clips), len(stream.labels)))
    accuracies = {name: _accuracies(load_backend(name), stream, said) for name in options.backends}
    commands = {name: ["--backend", name] for name in options.backends}
    figures, records = played.stream_figures("stream", stream, commands, accuracies)
    _write_records(options.out / "stream.jsonl", records)
    return figures


def _accuracies(
    backend: "Backend", stream: "LabelledStream", said: "list[tuple[str, Any]]"
) -> tuple[float, float]:
    """Share of right and shown answers to the clips said, and to the words cut out of the stream."""
    from benchmarks.live.replayed import share_right
    from inference.crop import crop

    contract = backend.crop_contract
    words = [
        (label.label, crop(stream.waveform, label.start, label.end, contract)) for label in stream.labels
    ]
    return share_right(backend, said), share_right(backend, words)


def _timing(clips: "list[tuple[str, Any]]", options: argparse.Namespace) -> "list[Figure]":
    from benchmarks.against_libraries.stand_in import stand_in
    from benchmarks.live import played
    from benchmarks.live.stream import build_stream

    stream = build_stream(itertools.cycle(clips), SNR_DB, 60.0 * min(options.minutes, 3), SEED)
    checkpoint = str(stand_in())
    command = ["--backend", "wav2vec2", "--checkpoint", checkpoint, "--threads", "2", "--min-score", "0"]
    figures, records = played.stream_figures("timing", stream, {played.RANDOM_BASE: command}, {})
    _write_records(options.out / "timing.jsonl", records)
    return figures


def _load(clips: "list[tuple[str, Any]]", options: argparse.Namespace) -> "list[Figure]":
    from benchmarks.live import played
    from benchmarks.live.stream import build_stream

    stream = build_stream(itertools.cycle(clips), SNR_DB, LOAD_SECONDS, SEED)
    figures = []
    for name in options.backends:
        with played.busy_cores():
            figures += played.stream_figures("load", stream, {name: ["--backend", name]}, {})[0]
    # Nobody promised how long answers take on a busy machine.
    return [figure if "lost" in figure.name else replace(figure, most=None) for figure in figures]


def _write_records(path: Path, records: list[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(record) + "\n" for record in records))


def _test_clips(dataset: str) -> "list[tuple[str, Any]]":
    """Label and waveform of the corpus' test clips."""
    clips = _shuffled(make_split(load_corpus(dataset).clips).test)
    return [(clip.label, clip.waveform()) for clip in clips]


def _one_word_each(folder: str) -> "list[tuple[str, Any]]":
    """A word of each of ``NUM_STRANGERS`` people."""
    by_speaker = {clip.speaker: clip for clip in _shuffled(load_corpus(folder).clips)}
    return [(clip.label, clip.waveform()) for clip in list(by_speaker.values())[:NUM_STRANGERS]]


def _shuffled(clips: "Sequence[Clip]") -> "list[Clip]":
    """In an order of their own, the same each time."""
    import numpy as np

    mixed = list(clips)
    np.random.default_rng(SEED).shuffle(mixed)
    return mixed


if __name__ == "__main__":
    sys.exit(main())
