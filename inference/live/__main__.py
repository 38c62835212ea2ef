"""Listens to a microphone, or replays a recording, and prints one digit per spoken word.

Exit codes: 0 the end, 2 usage, 3 no usable microphone, 4 microphone lost, 5 backend failed,
130 interrupted.
"""

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

from inference.backends import load_backend
from inference.cli import EXIT_INTERRUPTED, EXIT_OK, add_backend_arguments, reports_user_errors
from inference.errors import UserError

if TYPE_CHECKING:
    from inference.backends.base import DigitBackend
    from inference.live.session import Session
    from inference.live.sources import Source
    from inference.live.terminal import Output

EXIT_NO_MICROPHONE = 3
EXIT_MICROPHONE_LOST = 4
EXIT_BACKEND_FAILED = 5


def build_parser() -> argparse.ArgumentParser:
    """Options of ``python -m inference.live``."""
    introduction, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser("python -m inference.live", description=introduction, epilog=epilog)
    add_backend_arguments(parser)
    source = parser.add_argument_group("source")
    source.add_argument(
        "--device",
        default=os.environ.get("DIGITS_MIC"),
        metavar="INDEX|NAME-PART",
        help="microphone (default: $DIGITS_MIC, else the system's)",
    )
    source.add_argument("--list-devices", action="store_true", help="list the microphones and exit")
    source.add_argument("--no-reconnect", action="store_true", help="end when the microphone is lost")
    source.add_argument("--replay", metavar="FILE", help="recognise a recording of any length instead")
    source.add_argument(
        "--speed",
        type=int,
        choices=(0, 1),
        default=0,
        help="replay as fast as possible (0, the default) or in real time (1)",
    )
    words = parser.add_argument_group("words")
    words.add_argument(
        "--profile",
        choices=("isolated", "string", "noisy"),
        default="isolated",
        help="silence that ends a word: 128, 96 or 256 ms (default: isolated)",
    )
    words.add_argument(
        "--detector",
        choices=("silero", "energy"),
        help="voice activity (default: silero where its network is installed)",
    )
    words.add_argument("--min-score", type=float, default=0.0, help="reject digits scored lower (default: 0)")
    words.add_argument("--force-emit", action="store_true", help="print low-scored digits nevertheless")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--jsonl",
        nargs="?",
        const="-",
        metavar="PATH",
        help="write every event as a JSON line; without PATH (or with -) to stdout, instead of digits",
    )
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Entry point; see the exit codes above."""
    options = build_parser().parse_args(argv)
    from inference.live.devices import MicrophoneError

    try:
        return _list_devices() if options.list_devices else _listen(options)
    except MicrophoneError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_NO_MICROPHONE


def _list_devices() -> int:
    from inference.live.devices import choose_device, device_table
    from inference.live.microphone import list_devices

    devices = list_devices()
    choose_device(devices, None)
    sys.stdout.write(f"{device_table(devices)}\n")
    return EXIT_OK


def _listen(options: argparse.Namespace) -> int:
    from inference.live.recognition import BackendFailedError

    source = _source(options)
    try:
        backend = load_backend(options.backend, options.checkpoint, options.threads)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BACKEND_FAILED
    with contextlib.ExitStack() as resources:
        session = _session(options, backend, resources)
        try:
            session.run(source)
            code = EXIT_MICROPHONE_LOST if session.is_lost else EXIT_OK
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        except BackendFailedError as error:
            sys.stderr.write(f"error: {error}\n")
            code = EXIT_BACKEND_FAILED
        session.summarise()
    return code


def _source(options: argparse.Namespace) -> "Source":
    if options.replay:
        from inference.live.replay import Replay

        return Replay(options.replay, options.speed)
    from inference.live.microphone import Microphone

    return Microphone(options.device, reconnect=not options.no_reconnect)


def _session(
    options: argparse.Namespace, backend: "DigitBackend", resources: contextlib.ExitStack
) -> "Session":
    from inference.live.endpointing import PROFILES
    from inference.live.engine import LiveEngine
    from inference.live.recognition import Recogniser
    from inference.live.session import Session
    from inference.live.voice_activity import build_detector

    detector = build_detector(options.detector)
    return Session(
        LiveEngine(PROFILES[options.profile], detector, backend.crop_contract),
        Recogniser(backend, options.backend, options.min_score, options.force_emit),
        *_outputs(options, resources),
        names=(options.backend, detector.name),
    )


def _outputs(options: argparse.Namespace, resources: contextlib.ExitStack) -> tuple["Output", "list[Output]"]:
    """The screen, and the outputs that are shown events after it."""
    from inference.live.terminal import JsonLines, PlainOutput

    others: list[Output] = []
    if options.jsonl:
        stream: TextIO = sys.stdout
        if options.jsonl != "-":
            try:
                stream = resources.enter_context(open(options.jsonl, "w", encoding="utf-8"))  # noqa: SIM115
            except OSError as error:
                raise UserError(f"--jsonl {options.jsonl} cannot be written: {error.strerror}.") from error
        others.append(JsonLines(stream))
    if options.jsonl == "-":
        return PlainOutput(None, sys.stderr), others
    if sys.stdout.isatty():
        from rich.console import Console

        from inference.live.screen import Screen

        return resources.enter_context(Screen(Console(), options.backend)), others
    return PlainOutput(sys.stdout, sys.stderr), others


if __name__ == "__main__":
    sys.exit(main())
