"""The HTTP routes, described in OpenAPI: ``/predict``, ``/health``, ``/metrics``, and those below ``/v1``."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from inference.app.guard import error_content
from inference.app.pcm_socket import pcm_socket
from inference.app.recogniser import ClipAnswer, ClipRecogniser
from inference.app.recorder import recorder
from inference.app.service import FAILURES, Service, read_upload, status_of
from inference.app.streaming import ClientStream
from inference.app.transcriptions import add_transcriptions
from inference.backends.table import BACKENDS

_AUDIO = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
}
_REQUEST_BODY = {
    "required": True,
    "content": {"application/octet-stream": _AUDIO, "audio/*": _AUDIO, "multipart/form-data": _FORM},
}
_ERROR = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string"}},
            }
        }
    }
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No audio was sent, or the form has no file", **_ERROR},
    401: {"description": "Credentials are missing or wrong", **_ERROR},
    408: {"description": "The body did not arrive in time", **_ERROR},
    413: {"description": "The body is too large", **_ERROR},
    415: {"description": "The bytes are no audio, or of a length that is not accepted", **_ERROR},
    422: {"description": "An unknown backend", **_ERROR},
    503: {"description": "Too many requests wait, or the backend cannot run here", **_ERROR},
}


def build_api(
    recogniser: ClipRecogniser,
    default: str,
    max_waiting: int,
    workers: int,
    recordings: Path | None = None,
    non_words: Path | None = None,
) -> FastAPI:
    """Builds the routes.

    Args:
        recogniser: Answers.
        default: Backend of requests that name none.
        max_waiting: Requests that may wait or be in work, and streams that may be open; further ones are
            told to come back.
        workers: Requests in work at a time.
        recordings: Where visitors may record words, None where they may not.
        non_words: Where the sound of the room and other words are kept, None if they are not wanted.
    """
    # The interactive pages of FastAPI would fetch scripts from another server.
    app = FastAPI(
        title="Spoken Digits",
        version="1",
        description="Beside these the WebSocket /v1/stream takes 16-bit PCM and answers while it comes.",
        docs_url=None,
        redoc_url=None,
    )
    service = Service(recogniser, max_waiting, workers)

    @app.post("/predict", responses=_ERRORS, openapi_extra={"requestBody": _REQUEST_BODY})
    async def predict(
        request: Request,
        backend: str = Query(default, description=f"of {', '.join(BACKENDS)}, with options as in a:b=c"),
    ) -> ClipAnswer:
        """Recognises the word of one recording: audio bytes in any format that FFmpeg reads, or a form."""
        try:
            audio, _ = await read_upload(request)
            return await service.recognise(audio, backend)
        except FAILURES as error:
            return service.refuse("/predict", backend, status_of(error), error)  # type: ignore[return-value]

    @app.api_route("/health", methods=["GET", "HEAD"])
    def health() -> dict[str, str]:
        """Whether the service runs."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def read_metrics() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    add_transcriptions(app, service, default)

    def stream(websocket: WebSocket) -> ClientStream:
        return recogniser.stream(websocket.query_params.get("backend", default))

    app.router.routes.append(WebSocketRoute("/v1/stream", pcm_socket(service, stream)))
    if recordings is not None:
        record = pcm_socket(service, recorder(recordings, non_words))
        app.router.routes.append(WebSocketRoute("/v1/record", record))
    # The page takes every other path, and would answer that there is none of these with other methods.
    for path, allowed in (
        ("/predict", "POST"),
        ("/health", "GET, HEAD"),
        ("/metrics", "GET"),
        ("/v1/models", "GET"),
        ("/v1/audio/transcriptions", "POST"),
    ):
        refusal = _Refusal(405, f"use {allowed}.", {"Allow": allowed})
        app.router.routes.append(Route(path, refusal, include_in_schema=False))
    there_is = "there are /v1/audio/transcriptions, /v1/models and the WebSocket /v1/stream."
    app.router.routes.append(Route("/v1/{path:path}", _Refusal(404, there_is), include_in_schema=False))
    return app


class _Refusal:
    """An application that refuses every request, and says what is possible instead."""

    def __init__(self, status: int, way_out: str, headers: dict[str, str] | None = None):
        self._status = status
        self._way_out = way_out
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"{scope['method']} {scope['path']} is not possible: {self._way_out}"
        content = error_content(scope["path"], self._status, message)
        await JSONResponse(content, self._status, self._headers)(scope, receive, send)
