"""Entry point: a microphone or a recording in, one printed label per spoken word out."""

import argparse
import contextlib
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from inference.backends.table import load_backend
from inference.command_line import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    chosen_options,
    reports_user_errors,
)
from inference.errors import UserError
from inference.live.arguments import parse_arguments
from inference.live.output.keyboard import Commands, Keyboard

if TYPE_CHECKING:
    from inference.backends.base import Backend
    from inference.live.output.plain_lines import Output
    from inference.live.session import Session
    from inference.live.source.items import Source
    from inference.live.source.recording import RecordedSource

EXIT_NO_MICROPHONE = 3
EXIT_BACKEND_FAILED = 5


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Entry point; the exit codes are in ``--help``."""
    options = parse_arguments(argv)
    from inference.live.source.devices import MicrophoneError

    try:
        if options.list_devices:
            return _list_devices()
        return _check_microphone(options) if options.mic_check else _listen(options)
    except MicrophoneError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_NO_MICROPHONE


def _list_devices() -> int:
    from inference.live.output.plain_lines import write_line
    from inference.live.source.devices import choose_device, device_table
    from inference.live.source.microphone import list_devices

    devices = list_devices()
    choose_device(devices, None)
    write_line(sys.stdout, device_table(devices))
    return EXIT_OK


def _check_microphone(options: argparse.Namespace) -> int:
    from inference.live.output.plain_lines import write_line
    from inference.live.source.mic_check import check_microphone, describe_check

    check = check_microphone(_recorded(options))
    write_line(sys.stdout, describe_check(check))
    return EXIT_OK if check.verdict is None else EXIT_NO_MICROPHONE


def _listen(options: argparse.Namespace) -> int:
    from inference.live.recognition import BackendFailedError

    source = _recorded(options)
    try:
        backend = load_backend(options.backend, options.checkpoint, options.threads, chosen_options(options))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BACKEND_FAILED
    if options.pre_roll_ms is not None:
        backend.crop_contract = replace(backend.crop_contract, pre_ms=options.pre_roll_ms)
    with contextlib.ExitStack() as resources:
        keyboard = resources.enter_context(Keyboard())
        screen, outputs = _outputs(options, resources)
        session = _session(options, backend, screen, outputs, keyboard)
        try:
            session.run(source)
            code = EXIT_OK
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        except BackendFailedError as error:
            sys.stderr.write(f"error: {error}\n")
            code = EXIT_BACKEND_FAILED
        session.summarise()
    return code


def _source(options: argparse.Namespace) -> "Source":
    from inference.live.source.microphone import Microphone
    from inference.live.source.replay import Replay

    if options.replay:
        return Replay(options.replay, options.speed)
    return Microphone(options.device)


def _recorded(options: argparse.Namespace) -> "RecordedSource":
    from inference.live.source.recording import RecordedSource

    path = options.record or time.strftime("spoken-digits-%Y%m%d-%H%M%S.wav")
    return RecordedSource(_source(options), path, is_recording=options.record is not None)


def _session(
    options: argparse.Namespace,
    backend: "Backend",
    screen: "Output",
    outputs: "list[Output]",
    keyboard: Keyboard,
) -> "Session":
    from inference.live.engine.events import TOP
    from inference.live.recognition import UtteranceRecogniser, build_engine
    from inference.live.session import Session

    rules = (options.min_score, options.force_emit, options.top_k or TOP)
    recogniser = UtteranceRecogniser(backend, options.backend, *rules)
    recogniser.warm_up()
    settings, split = options.endpoint, None
    if options.string:
        from inference.live.engine.splitter import MAX_SPEECH_MS, Splitter

        split = Splitter(backend.predict, backend.crop_contract).split
        settings = replace(settings, max_speech_ms=MAX_SPEECH_MS)
    if options.capture_ms:
        settings = replace(settings, max_speech_ms=max(options.capture_ms, settings.max_speech_ms))
    is_paused = options.mode != "always" or options.capture_ms is not None
    return Session(
        build_engine(backend, settings, options.detector, is_paused),
        recogniser,
        screen,
        outputs,
        commands=Commands(keyboard.pressed, push_to_talk=options.mode == "push-to-talk").poll,
        split=split,
        capture_ms=options.capture_ms,
    )


def _outputs(options: argparse.Namespace, resources: contextlib.ExitStack) -> tuple["Output", "list[Output]"]:
    """The screen, and the outputs that are shown events after it."""
    from inference.live.output.plain_lines import JsonLines, PlainOutput, SilenceWatch
    from inference.live.output.strings import Strings, StringSettings

    screen: Output
    if options.jsonl == "-":
        screen = PlainOutput(None, sys.stderr, options.string)
    elif sys.stdout.isatty():
        from rich.console import Console

        from inference.live.output.screen import Screen

        screen = resources.enter_context(Screen(Console(), options.backend))
    else:
        screen = PlainOutput(sys.stdout, sys.stderr, options.string)
    outputs: list[Output] = []
    if options.jsonl:
        outputs.append(JsonLines(_open_lines(options.jsonl, resources)))
    if options.string:
        strings = StringSettings(length=options.length, luhn=options.luhn)
        outputs.append(Strings(strings, [screen, *outputs]))
    if not options.replay:
        outputs.append(SilenceWatch([screen, *outputs]))
    return screen, outputs


def _open_lines(path: str, resources: contextlib.ExitStack) -> TextIO:
    if path == "-":
        return sys.stdout
    try:
        return resources.enter_context(open(path, "w", encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--jsonl {path} cannot be written: {error.strerror}.") from error


if __name__ == "__main__":
    # A service manager's stop is answered like Ctrl-C: with a summary, and the capture child gone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
