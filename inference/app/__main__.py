"""Entry point: serves the page and the HTTP routes.

    python -m inference.app [--port 7860] [--backend mfcc] [--auth-file FILE]

Exit code: 130 after Ctrl-C, 2 after a mistake of usage or where the port is taken.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    add_backend_arguments,
    chosen_variant,
    path_argument,
    port_argument,
    positive_int,
    reports_user_errors,
)
from inference.errors import BackendUnavailableError, UserError

AUTH_VARIABLE = "SPOKEN_DIGITS_AUTH"
#: A page that stays open needs no more; each waiting request holds its audio in memory.
MAX_WAITING = 64


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m inference.app",
        description="A page in the browser (microphone, files, every backend) and an HTTP service.",
        epilog=f"With credentials in ${AUTH_VARIABLE} (user:password) or --auth-file, every route but "
        "/health asks for them. Exit codes: 2 usage or port taken, 130 Ctrl-C.",
    )
    add_backend_arguments(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=port_argument, default=7860, help="0 takes a free one (default: 7860)")
    parser.add_argument(
        "--auth-file",
        type=path_argument,
        metavar="FILE",
        help=f"holds user:password; or set ${AUTH_VARIABLE}",
    )
    parser.add_argument(
        "--max-seconds", type=positive_int, default=30, help="longest recording (default: 30)"
    )
    parser.add_argument(
        "--max-mb", type=positive_int, default=16, help="largest upload, or message of a stream (default: 16)"
    )
    parser.add_argument(
        "--max-waiting",
        type=positive_int,
        default=MAX_WAITING,
        help=f"requests that may wait, and streams; further ones get 503 (default: {MAX_WAITING})",
    )
    parser.add_argument(
        "--results",
        type=path_argument,
        default=Path("results"),
        metavar="DIR",
        help="benchmark runs; the newest is shown (default: results)",
    )
    parser.add_argument(
        "--recordings",
        type=path_argument,
        metavar="FOLDER",
        help="lets visitors record words, guided, into this folder, as inference.record does (default: not)",
    )
    parser.add_argument(
        "--non-words",
        type=path_argument,
        metavar="FOLDER",
        help="with --recordings, asks them for the sound of the room and for other words too",
    )
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; see the module for the exit codes."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.recordings:
        from inference.record.prompts import check_folders

        check_folders(options.recordings, options.non_words, "--recordings")
    elif options.non_words:
        parser.error("--non-words belongs to recordings: add --recordings FOLDER, or leave it out")
    credentials = _credentials(options.auth_file)
    listener = _listen(options.host, options.port)
    try:
        import uvicorn

        from inference.app.server import build_server
    except ImportError as error:
        raise BackendUnavailableError(
            f"the page needs the package {error.name}, which is not installed.",
            "Install it: pip install 'spoken-digits[app]'",
        ) from error
    checkpoints = {options.backend: options.checkpoint} if options.checkpoint else {}
    app = build_server(options, chosen_variant(options), checkpoints, credentials)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"listening on http://{shown}:{port}/ (Ctrl-C ends)\n")
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=2,
        ws_max_size=options.max_mb * 2**20,
        ws_per_message_deflate=False,  # which gains little on sound
    )
    uvicorn.Server(config).run(sockets=[listener])
    return EXIT_OK


def _credentials(auth_file: Path | None) -> tuple[str, str] | None:
    from inference.app.guard import parse_credentials

    if auth_file is not None:
        try:
            text = auth_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--auth-file {auth_file} cannot be read: {error}.") from error
        return parse_credentials(text, f"--auth-file {auth_file}")
    if AUTH_VARIABLE in os.environ:
        return parse_credentials(os.environ[AUTH_VARIABLE], f"${AUTH_VARIABLE}")
    return None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)  # from now on a client waits instead of being turned away
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host} port {port}: {error}; choose another --port or --host."
        ) from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
