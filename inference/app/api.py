"""The HTTP routes: ``POST /predict``, ``GET /health`` and ``GET /metrics``, described in OpenAPI."""

import time
from typing import Any

import anyio
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from inference.app.recogniser import ClipAnswer, ClipRecogniser
from inference.backends.table import BACKENDS
from inference.errors import AudioError, BackendUnavailableError, UserError

#: Where the time of a request goes, in seconds.
LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

_AUDIO = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
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


class Metrics:
    """What Prometheus is told; one registry per application, so that tests do not share it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "spoken_digits_requests", "Answered requests", ("backend", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "spoken_digits_request_seconds",
            "From the last byte of a request to its answer",
            ("backend",),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.waiting = Gauge(
            "spoken_digits_waiting_requests", "Requests in work or waiting", registry=self.registry
        )


class BusyError(Exception):
    """Too many requests wait already."""


def build_api(recogniser: ClipRecogniser, default: str, max_waiting: int, workers: int) -> FastAPI:
    """Builds the routes.

    Args:
        recogniser: Answers.
        default: Backend of requests that name none.
        max_waiting: Requests that may wait or be in work; further ones are told to come back.
        workers: Requests in work at a time.
    """
    # The interactive pages of FastAPI would fetch scripts from another server.
    app = FastAPI(title="Spoken Digits", version="1", docs_url=None, redoc_url=None)
    metrics = Metrics()
    slots = anyio.CapacityLimiter(workers)
    waiting = 0

    async def recognise(audio: bytes, backend: str) -> ClipAnswer:
        nonlocal waiting
        if waiting >= max_waiting:
            raise BusyError(f"{waiting} requests are waiting already; try again in a second.")
        waiting += 1
        metrics.waiting.set(waiting)
        try:
            return await anyio.to_thread.run_sync(recogniser.recognise, audio, backend, limiter=slots)
        finally:
            waiting -= 1
            metrics.waiting.set(waiting)

    @app.post("/predict", responses=_ERRORS, openapi_extra={"requestBody": _REQUEST_BODY})
    async def predict(
        request: Request,
        backend: str = Query(default, description=f"of {', '.join(BACKENDS)}, with options as in a:b=c"),
    ) -> ClipAnswer:
        """Recognises the word of one recording: audio bytes in any format that FFmpeg reads, or a form."""
        try:
            audio = await _read_audio(request)
            started = time.perf_counter()
            answer = await recognise(audio, backend)
        except ClientDisconnect:
            return _failed(metrics, backend, 400, "the upload was interrupted.")  # type: ignore[return-value]
        except _BadRequestError as error:
            return _failed(metrics, backend, 400, str(error))  # type: ignore[return-value]
        except AudioError as error:
            return _failed(metrics, backend, 415, str(error))  # type: ignore[return-value]
        except (BusyError, BackendUnavailableError) as error:
            return _failed(metrics, backend, 503, str(error))  # type: ignore[return-value]
        except UserError as error:
            return _failed(metrics, backend, 422, str(error))  # type: ignore[return-value]
        metrics.requests.labels(backend, "200").inc()
        metrics.seconds.labels(backend).observe(time.perf_counter() - started)
        return answer

    @app.api_route("/health", methods=["GET", "HEAD"])
    def health() -> dict[str, str]:
        """Whether the service runs."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def read_metrics() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    # The page takes every other path, and would answer that there is none of these with other methods.
    for path, allowed in (("/predict", "POST"), ("/health", "GET, HEAD"), ("/metrics", "GET")):
        app.router.routes.append(Route(path, _MethodNotAllowed(allowed), include_in_schema=False))
    return app


class _MethodNotAllowed:
    """An application that refuses every request, for a path of which only some methods are taken."""

    def __init__(self, allowed: str):
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"{scope['method']} {scope['path']} is not possible: use {self._allowed}."
        await JSONResponse({"error": message}, 405, headers={"Allow": self._allowed})(scope, receive, send)


_REQUEST_BODY = {
    "required": True,
    "content": {"application/octet-stream": _AUDIO, "audio/*": _AUDIO, "multipart/form-data": _FORM},
}


class _BadRequestError(Exception):
    pass


async def _read_audio(request: Request) -> bytes:
    """The body itself, or the file of a form; a file's name is never looked at."""
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        try:
            async with request.form(max_files=1, max_fields=8) as form:
                file = form.get("file")
                if file is None or isinstance(file, str):
                    raise _BadRequestError("the form has no file in its field 'file'.")
                audio = await file.read()
        except HTTPException as error:  # what the parser's own exception becomes inside an application
            raise _BadRequestError(f"the form cannot be read: {error.detail}") from error
    else:
        audio = await request.body()
    if not audio:
        raise _BadRequestError("no audio was sent: post a file's bytes, or a form with the field 'file'.")
    return audio


def _failed(metrics: Metrics, backend: str, status: int, message: str) -> JSONResponse:
    # An unknown name must not become a new time series for every typing error.
    metrics.requests.labels(backend if backend in BACKENDS else "unknown", str(status)).inc()
    headers = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": message}, status, headers=headers)
