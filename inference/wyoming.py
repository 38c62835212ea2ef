"""Entry point: ``python -m inference.wyoming``, speech to text for the voice satellites of Home Assistant.

They speak the Wyoming protocol: events as lines of JSON, with PCM between them. Who sends an utterance hears
where it ends and then waits for one text; so it is answered whole, as a recording is by the HTTP service.
Exit code: 130 after Ctrl-C, 2 after a mistake of usage or where the address is taken.
"""

import argparse
import asyncio
import io
import sys
import wave
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    add_backend_arguments,
    chosen_variant,
    reports_user_errors,
)
from inference.errors import UserError
from inference.extras import require_packages
from inference.vocabulary import vocabulary

if TYPE_CHECKING:
    from inference.app.recogniser import ClipRecogniser

URI = "tcp://127.0.0.1:10300"


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        "python -m inference.wyoming",
        description="Speech to text for the voice satellites of Home Assistant, by the Wyoming protocol.",
        epilog="The protocol knows neither credentials nor encryption: open it to a trusted network only. "
        "Exit codes: 2 usage or address taken, 130 Ctrl-C.",
    )
    add_backend_arguments(parser)
    parser.add_argument("--uri", type=_address, default=URI, help=f"where to listen (default: {URI})")
    parser.add_argument(
        "--language", default="en", help="of the words, which Home Assistant asks for (default: en)"
    )
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; see the module for the exit codes."""
    options = build_parser().parse_args(argv)
    require_packages(("wyoming",), "the server")
    from inference.app.recogniser import ClipRecogniser

    checkpoints = {options.backend: options.checkpoint} if options.checkpoint else {}
    recogniser, variant = ClipRecogniser(checkpoints, options.threads), chosen_variant(options)
    recogniser.backend(variant)
    asyncio.run(_serve(options.uri, partial(_converse, recogniser, variant, options.language)))
    return EXIT_OK


async def _serve(address: tuple[str, int], converse: partial) -> None:
    host, port = address
    try:
        server = await asyncio.start_server(converse, host, port)
    except OSError as error:
        raise UserError(f"cannot listen on {host} port {port}: {error}; choose another --uri.") from error
    sys.stderr.write(f"listening on tcp://{host}:{server.sockets[0].getsockname()[1]} (Ctrl-C ends)\n")
    async with server:
        await server.serve_forever()


async def _converse(
    recogniser: "ClipRecogniser",
    variant: str,
    language: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """One client to its end."""
    from wyoming.asr import Transcript
    from wyoming.audio import AudioChunk
    from wyoming.event import async_read_event, async_write_event
    from wyoming.info import AsrModel, AsrProgram, Attribution, Info

    from inference.audio import MAX_STREAM_BYTES

    about = (Attribution("Spoken Digits", ""), True, vocabulary().title, None)
    program = AsrProgram("spoken-digits", *about, [AsrModel(variant, *about, [language])])
    # What is done to the sound of calls swallows the first word.
    program.prefers_auto_gain_enabled = program.prefers_noise_reduction_enabled = False
    pcm, layout = bytearray(), (1, 2, 16_000)
    try:
        while event := await async_read_event(reader):
            if event.type == "describe":
                await async_write_event(Info(asr=[program]).event(), writer)
            elif event.type == "audio-start":
                pcm.clear()
            elif event.type == "audio-chunk" and len(pcm) < MAX_STREAM_BYTES:
                chunk = AudioChunk.from_event(event)
                layout = (chunk.channels, chunk.width, chunk.rate)
                pcm += chunk.audio
            elif event.type == "audio-stop":
                text = await asyncio.to_thread(_transcribe, recogniser, variant, pcm, layout)
                await async_write_event(Transcript(text).event(), writer)
                pcm.clear()
    except (OSError, EOFError, KeyError, TypeError, AttributeError, wave.Error) as error:
        sys.stderr.write(f"a client was left: {error!r}\n")  # it vanished, or spoke something else
    finally:
        writer.close()


def _transcribe(
    recogniser: "ClipRecogniser", variant: str, pcm: bytearray, layout: tuple[int, int, int]
) -> str:
    """The labels of an utterance; empty where no word was understood.

    Args:
        recogniser: Answers.
        variant: Backend that is asked.
        pcm: Little-endian samples.
        layout: Channels, bytes of a sample, rate in Hz.
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((*layout, 0, "NONE", ""))
        writer.writeframes(pcm)
    try:
        return recogniser.recognise(file.getvalue(), variant).text
    except UserError as error:
        sys.stderr.write(f"no answer: {error}\n")
        return ""


def _address(uri: str) -> tuple[str, int]:
    """An argparse type: host and port of a URI."""
    try:
        parts = urlsplit(uri)
        if parts.scheme == "tcp" and parts.hostname and parts.port is not None:
            return parts.hostname, parts.port
    except ValueError:  # no such port
        pass
    raise argparse.ArgumentTypeError(f"{uri!r}: expected tcp://HOST:PORT, as in {URI}")


if __name__ == "__main__":
    sys.exit(main())
