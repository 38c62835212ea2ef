"""Options of ``python -m inference.live``."""

import argparse
import itertools
import os
from dataclasses import replace

from inference.command_line import CommandLineParser, add_backend_arguments, positive_int
from inference.live.engine.endpointing import PROFILES, EndpointSettings
from inference.live.output.keyboard import KEYS_HELP, Keyboard
from inference.vocabulary import vocabulary

DESCRIPTION = "Listens to a microphone, or replays a recording, and prints one label per spoken word."
MAX_OPTION_MS = 3000
MODES = ("always", "push-to-talk", "toggle")
EXIT_CODES = (
    f"Keys in a terminal: {KEYS_HELP}. "
    "Exit codes: 0 the end, 2 usage, 3 no usable microphone, 5 backend failed, 130 interrupted."
)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line; exits with 2 on options that do not belong together."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.replay and options.device not in (None, os.environ.get("DIGITS_MIC")):
        parser.error("--device chooses a microphone: leave it out, or leave out --replay")
    if options.string and not vocabulary().is_digits:
        parser.error("--string joins digits: leave it out, or leave out --vocabulary")
    if (options.length or options.luhn) and not options.string:
        parser.error("--length and --luhn describe a string: add --string")
    if options.luhn and options.length == 1:
        parser.error("--luhn checks the last digit by the others: --length 1 leaves none")
    if options.capture_ms and (options.string or options.mode != "always"):
        parser.error("--capture-ms takes one word at a key: leave it out, or leave out --mode and --string")
    by_key = "--capture-ms" if options.capture_ms else f"--mode {options.mode}"
    if by_key != "--mode always" and options.replay:
        parser.error(f"{by_key} is for a microphone: leave it out, or leave out --replay")
    if by_key != "--mode always" and not Keyboard.is_available():
        parser.error(f"{by_key} needs keys: start it in a terminal, in the foreground")
    options.endpoint = endpoint_settings(options, PROFILES["string" if options.string else "isolated"])
    _refuse_shared_files(parser, options)
    return options


def build_parser() -> argparse.ArgumentParser:
    """Options of ``python -m inference.live``."""
    parser = CommandLineParser("python -m inference.live", description=DESCRIPTION, epilog=EXIT_CODES)
    add_backend_arguments(parser)
    source = parser.add_argument_group("source")
    add_device_argument(source)
    mode = source.add_mutually_exclusive_group()
    mode.add_argument("--list-devices", action="store_true", help="list the microphones and exit")
    mode.add_argument(
        "--mic-check",
        action="store_true",
        help="listen for 3 s, say whether the microphone will do, and exit",
    )
    mode.add_argument(
        "--replay", type=_path, metavar="FILE", help="recognise a recording of any length instead"
    )
    source.add_argument(
        "--speed",
        type=int,
        choices=(0, 1),
        default=0,
        help="replay as fast as possible (0, the default) or in real time (1)",
    )
    source.add_argument(
        "--mode",
        choices=MODES,
        default=MODES[0],
        help="listen always (default), while the space bar is held, or between two presses of t",
    )
    source.add_argument(
        "--capture-ms",
        type=_milliseconds,
        metavar="MS",
        help="listen only at Enter, and take the MS from then on as one word",
    )
    words = parser.add_argument_group("words")
    words.add_argument(
        "--string",
        action="store_true",
        help="collect digits into strings, which end with 1.5 s of silence; take apart what runs "
        "together; a word ends after 96 ms of silence",
    )
    words.add_argument("--length", type=positive_int, metavar="N", help="digits of a string; ends it at once")
    words.add_argument(
        "--luhn", action="store_true", help="check the last digit of a string, as of a bank card"
    )
    add_endpoint_arguments(words)
    words.add_argument(
        "--pre-roll-ms",
        type=_milliseconds,
        metavar="MS",
        help="audio before a word that the backend is given (default: as its checkpoint was trained)",
    )
    words.add_argument(
        "--min-score",
        type=_share,
        help="reject labels scored lower (default: as calibrated with the checkpoint; else the higher, the "
        "less the detector takes the sound for speech)",
    )
    words.add_argument("--force-emit", action="store_true", help="print the best label of rejects, marked")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--top-k", type=positive_int, metavar="N", help="best labels shown of each word (default: 3)"
    )
    output.add_argument(
        "--jsonl",
        nargs="?",
        const="-",
        type=_path,
        metavar="PATH",
        help="write every event as a JSON line; without PATH (or with -) to stdout, instead of labels",
    )
    output.add_argument(
        "--record", type=_path, metavar="WAV", help="keep the audio; replaying it gives the same events"
    )
    return parser


def add_device_argument(group: argparse._ActionsContainer) -> None:
    """Adds ``--device``."""
    group.add_argument(
        "--device",
        metavar="INDEX|NAME-PART",
        default=os.environ.get("DIGITS_MIC"),
        help="microphone (default: $DIGITS_MIC, else the system's)",
    )


def add_endpoint_arguments(group: argparse._ActionsContainer) -> None:
    """Adds what decides where a word begins and ends."""
    group.add_argument(
        "--detector",
        choices=("silero", "energy"),
        help="voice activity (default: silero where its network is installed)",
    )
    group.add_argument(
        "--hangover-ms",
        type=_milliseconds,
        metavar="MS",
        help="silence that ends a word (default: 128)",
    )
    group.add_argument(
        "--min-speech-ms",
        type=_milliseconds,
        metavar="MS",
        help="less speech than this is too short for a word (default: 96)",
    )
    group.add_argument(
        "--enter-threshold",
        type=_share,
        metavar="SCORE",
        help="score of the voice activity at which speech begins (default: 0.4)",
    )


def endpoint_settings(options: argparse.Namespace, settings: EndpointSettings) -> EndpointSettings:
    """The settings with what was typed in their place.

    Raises:
        UserError: If they do not belong together.
    """
    names = ("hangover_ms", "min_speech_ms", "enter_threshold")
    typed = {name: value for name in names if (value := getattr(options, name)) is not None}
    # Speech cannot end at a higher score than it begins at.
    leave_threshold = min(settings.leave_threshold, typed.get("enter_threshold", 1.0))
    return replace(settings, **typed, leave_threshold=leave_threshold)


def _refuse_shared_files(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends with a usage error where writing one file would destroy another that was named."""
    paths = {
        "--replay": options.replay,
        "--record": options.record,
        "--jsonl": None if options.jsonl == "-" else options.jsonl,
    }
    named = [(option, path) for option, path in paths.items() if path is not None]
    for (one, path), (other, other_path) in itertools.combinations(named, 2):
        if _is_same_file(path, other_path):
            parser.error(f"{one} and {other} are the same file, {other_path}: name another for {other}")


def _is_same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # one is not there yet
        return os.path.realpath(path) == os.path.realpath(other)


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("an empty text is no path")
    return text


def _milliseconds(text: str) -> int:
    value = positive_int(text)
    if value > MAX_OPTION_MS:
        raise argparse.ArgumentTypeError(f"{value} is more than {MAX_OPTION_MS} ms")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
