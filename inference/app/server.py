"""The whole application: routes, page and guard as one ASGI application."""

import argparse
import os
import sys
from typing import Any

import gradio

from inference.app.api import build_api
from inference.app.guard import Guard
from inference.app.microphone_tabs import HEAD
from inference.app.page import STYLE, build_page, build_theme
from inference.app.recogniser import ClipRecogniser
from inference.errors import CheckpointError


def build_server(
    options: argparse.Namespace,
    default: str,
    checkpoints: dict[str, str],
    credentials: tuple[str, str] | None,
) -> Any:
    """Builds what the web server runs.

    Args:
        options: As parsed from the command line.
        default: Backend of requests and visitors that choose none; loaded at once.
        checkpoints: Backend name -> checkpoint other than its default.
        credentials: User and password, None for an open service.

    Raises:
        UserError: If the default backend cannot be loaded. Where words are to be recorded there may be none
            of them yet; that is only said.
    """
    recogniser = ClipRecogniser(checkpoints, options.threads, options.max_seconds)
    try:
        recogniser.backend(default)
    except CheckpointError as error:
        if options.recordings is None:
            raise
        sys.stderr.write(f"the page records, but does not answer yet: {error}\n")
    workers = os.cpu_count() or 1
    api = build_api(recogniser, default, options.max_waiting, workers, options.recordings, options.non_words)
    page = build_page(recogniser, default, options.results, options.recordings is not None)
    page.queue(max_size=options.max_waiting, api_open=False)
    app = gradio.mount_gradio_app(
        api,
        page,
        path="/",
        max_file_size=options.max_mb * 2**20,
        theme=build_theme(),
        css=STYLE,
        head=HEAD,
        footer_links=[],
        show_error=True,
        ssr_mode=False,
        enable_monitoring=False,
    )
    return Guard(app, credentials, max_bytes=options.max_mb * 2**20)
