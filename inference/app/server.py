"""The whole application: routes, page and guard as one ASGI application."""

import argparse
import os
from typing import Any

import gradio

from inference.app.api import build_api
from inference.app.guard import Guard
from inference.app.page import HEAD, STYLE, build_page, build_theme
from inference.app.recogniser import ClipRecogniser


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
        UserError: If the default backend cannot be loaded.
    """
    recogniser = ClipRecogniser(checkpoints, options.threads, options.max_seconds)
    recogniser.backend(default)
    api = build_api(recogniser, default, options.max_waiting, workers=os.cpu_count() or 1)
    page = build_page(recogniser, default, options.results)
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
