"""Entry point: ``python -m inference.record --speaker anna``, guided recording of one's own words.

A take that is kept is a file ``{label}_{speaker}_{index}.wav`` of 16 bits at 16 kHz, written whole or not at
all. What lies in the folder already is not asked for: the same command goes on where it stopped.
"""

import argparse
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inference.command_line import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    CommandLineParser,
    path_argument,
    positive_int,
    reports_user_errors,
)
from inference.errors import UserError
from inference.live.arguments import add_device_argument, add_endpoint_arguments, endpoint_settings
from inference.live.engine.endpointing import PROFILES, EndpointSettings
from inference.vocabulary import add_vocabulary_argument

if TYPE_CHECKING:
    from inference.live.output.plain_lines import Output
    from inference.record.prompts import Prompt

EXIT_NO_MICROPHONE = 3


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        "python -m inference.record",
        description="Records your own words: says which is next, finds its borders, refuses a bad take.",
        epilog="Exit codes: 0 the end, 2 usage or a full disk, 3 no usable microphone, 130 interrupted.",
    )
    add_vocabulary_argument(parser)
    parser.add_argument("--speaker", required=True, type=_speaker, help="who speaks, as in anna")
    parser.add_argument(
        "--takes", type=positive_int, default=10, metavar="N", help="recordings of each word (default: 10)"
    )
    parser.add_argument(
        "--out",
        type=path_argument,
        default=Path("recordings"),
        metavar="FOLDER",
        help="where they are kept (default: recordings)",
    )
    parser.add_argument(
        "--non-words",
        type=path_argument,
        metavar="FOLDER",
        help="record the sound of the room and as many other words too, for --non-words of the training",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order of the words (default: 0)")
    add_device_argument(parser)
    add_endpoint_arguments(parser)
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Entry point; the exit codes are in ``--help``."""
    options = build_parser().parse_args(argv)
    settings = endpoint_settings(options, PROFILES["isolated"])
    from inference.live.output.plain_lines import write_line
    from inference.live.source.devices import MicrophoneError
    from inference.record.prompts import check_folders, missing_prompts

    check_folders(options.out, options.non_words, "--out")
    wanted = (options.speaker, options.takes, options.out, options.non_words, options.seed)
    prompts = missing_prompts(*wanted)
    try:
        code = _record(options, prompts, settings) if prompts else EXIT_OK
    except MicrophoneError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_NO_MICROPHONE
    num_missing = len(missing_prompts(*wanted))
    said = (
        f"{len(prompts) - num_missing} takes kept, {num_missing} to go: the same command goes on there."
        if num_missing
        else f"all takes of {options.speaker} lie in {options.out}. Next: {_next_command(options)}"
    )
    write_line(sys.stdout, said)
    return code


def _record(options: argparse.Namespace, prompts: "list[Prompt]", settings: EndpointSettings) -> int:
    from inference.live.engine.voice_activity import build_detector
    from inference.live.output.keyboard import Keyboard
    from inference.live.output.plain_lines import SilenceWatch
    from inference.live.source.microphone import Microphone
    from inference.record.session import GuidedRecording
    from inference.record.take import TakeListener

    listener = TakeListener(settings, build_detector(options.detector))
    with contextlib.ExitStack() as resources:
        keyboard = resources.enter_context(Keyboard())
        screen = _screen(options.speaker, resources)
        session = GuidedRecording(prompts, listener, [screen, SilenceWatch([screen])], keyboard.pressed)
        try:
            session.run(Microphone(options.device))
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
    return EXIT_OK


def _screen(speaker: str, resources: contextlib.ExitStack) -> "Output":
    """A status line and lines above it; only lines where there is no terminal, or a dumb one."""
    from rich.console import Console

    from inference.live.output.keyboard import Keyboard
    from inference.live.output.plain_lines import PlainOutput, write_line
    from inference.live.output.screen import Screen
    from inference.record.session import KEYS_HELP

    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        if Keyboard.is_available():
            write_line(sys.stdout, f"keys: {KEYS_HELP}")
        return PlainOutput(None, sys.stdout)
    return resources.enter_context(Screen(console, speaker, KEYS_HELP))


def _next_command(options: argparse.Namespace) -> str:
    vocabulary = f" --vocabulary {options.vocabulary}" if options.vocabulary else ""
    non_words = f" --reject --non-words {options.non_words}" if options.non_words else ""
    return f"spoken-digits fit{vocabulary} --dataset {options.out}{non_words} --out runs/mine"


def _speaker(text: str) -> str:
    from inference.record.prompts import check_speaker

    try:
        return check_speaker(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    # A stop is answered like Ctrl-C: the terminal as it was, and the capture child gone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
