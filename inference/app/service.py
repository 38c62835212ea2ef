"""What all ways of asking share: how many may ask at once, what is counted, how a failure is told."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from inference.app.guard import error_content
from inference.backends.table import BACKENDS
from inference.errors import AudioError, BackendUnavailableError, UserError

if TYPE_CHECKING:
    from inference.app.recogniser import ClipAnswer, ClipRecogniser

#: Where the time of a request goes, in seconds.
LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class BadRequestError(Exception):
    """A request that is not as it should be; the message says what is expected."""


class BusyError(Exception):
    """As many ask already as may."""


#: What a request may fail with -> HTTP status; the first that fits.
_STATUSES: dict[type[Exception], int] = {
    ClientDisconnect: 400,
    BadRequestError: 400,
    AudioError: 415,
    BusyError: 503,
    BackendUnavailableError: 503,
    UserError: 422,
}
FAILURES = tuple(_STATUSES)


def status_of(error: Exception) -> int:
    """The HTTP status of one of ``FAILURES``."""
    return next(status for kind, status in _STATUSES.items() if isinstance(error, kind))


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
        self.streams = Gauge("spoken_digits_open_streams", "Open WebSockets", registry=self.registry)


class Service:
    """Asks the recogniser in a few threads, for a bounded number of clients.

    Args:
        recogniser: Answers.
        max_waiting: Requests that may wait or be in work, and streams that may be open.
        workers: Threads that recognise.
    """

    def __init__(self, recogniser: "ClipRecogniser", max_waiting: int, workers: int):
        self.recogniser = recogniser
        self.metrics = Metrics()
        self._requests = _Places(max_waiting, self.metrics.waiting, "requests are waiting")
        self.streams = _Places(max_waiting, self.metrics.streams, "streams are open")
        self._workers = anyio.CapacityLimiter(workers)

    async def in_thread(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        """Calls a function in one of the threads, when one is free."""
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._workers)

    async def recognise(self, audio: bytes, variant: str) -> "ClipAnswer":
        """The answer to one recording.

        Raises:
            BusyError: If too many wait already.
            UserError: As ``ClipRecogniser.recognise``.
        """
        started = time.perf_counter()
        with self._requests:
            answer = await self.in_thread(self.recogniser.recognise, audio, variant)
        self.metrics.requests.labels(variant, "200").inc()
        self.metrics.seconds.labels(variant).observe(time.perf_counter() - started)
        return answer

    def refuse(self, path: str, variant: str, status: int, error: Exception) -> JSONResponse:
        """Counts a request that failed, and tells why."""
        # An unknown name must not become a new time series for every typing error.
        self.metrics.requests.labels(variant if variant in BACKENDS else "unknown", str(status)).inc()
        message = "the upload was interrupted." if isinstance(error, ClientDisconnect) else str(error)
        headers = {"Retry-After": "1"} if status == 503 else None
        return JSONResponse(error_content(path, status, message), status, headers)


class _Places:
    """A context manager that lets so many in at a time, and sends the next one away."""

    def __init__(self, most: int, gauge: Gauge, who: str):
        self._most = most
        self._gauge = gauge
        self._who = who
        self._taken = 0

    def __enter__(self) -> None:
        if self._taken >= self._most:
            raise BusyError(f"{self._taken} {self._who} already; try again in a second.")
        self._taken += 1
        self._gauge.set(self._taken)

    def __exit__(self, *exception: object) -> None:
        self._taken -= 1
        self._gauge.set(self._taken)


async def read_upload(request: Request) -> tuple[bytes, dict[str, str]]:
    """The body itself, or the file of a form with its other fields; a file's name is never looked at.

    Raises:
        BadRequestError: If there is no audio, or the form cannot be read.
    """
    fields: dict[str, str] = {}
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        try:
            async with request.form(max_files=1, max_fields=16) as form:
                file = form.get("file")
                if file is None or isinstance(file, str):
                    raise BadRequestError("the form has no file in its field 'file'.")
                audio = await file.read()
                fields = {name: value for name, value in form.items() if isinstance(value, str)}
        except HTTPException as error:  # what the parser's own exception becomes inside an application
            raise BadRequestError(f"the form cannot be read: {error.detail}") from error
    else:
        audio = await request.body()
    if not audio:
        raise BadRequestError("no audio was sent: post a file's bytes, or a form with the field 'file'.")
    return audio, fields
