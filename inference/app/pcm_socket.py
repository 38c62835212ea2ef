"""The WebSocket ``/v1/stream``: 16-bit PCM in, what ``inference.live --jsonl`` prints out."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from inference.app.guard import BODY_SECONDS
from inference.app.service import FAILURES, BadRequestError, Service, status_of
from inference.app.streaming import BLOCK_SECONDS, STREAM_SECONDS, ClientStream
from inference.audio import SAMPLING_RATE
from inference.errors import AudioError
from inference.live.engine.events import Event, Hint, to_json

#: Of speech that is worth listening to, in Hz.
SAMPLING_RATES = range(8000, 192_001)
#: Of the reason in a message that closes a WebSocket (RFC 6455, 5.5).
MAX_REASON_BYTES = 123
_SAMPLE = np.dtype("<i2")
#: HTTP status of a failure -> the code that a WebSocket is closed with; 1008 for any other.
_CLOSE_CODES = {415: 1003, 503: 1013}


@dataclass(frozen=True)
class Failure(Event):
    """The last line of a stream that cannot go on; ``text`` says why."""

    text: str

    @property
    def type(self) -> str:
        """``error``."""
        return "error"


def pcm_socket(service: Service, default: str) -> Callable[[WebSocket], Awaitable[None]]:
    """Builds the endpoint.

    Args:
        service: Answers.
        default: Backend of clients that name none.
    """

    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            with service.streams:
                await _Conversation(websocket, service, default).run()
            await websocket.close()
        except WebSocketDisconnect:
            return
        except FAILURES as error:
            await _fail(websocket, error)

    return listen


async def _fail(websocket: WebSocket, error: Exception) -> None:
    try:
        await websocket.send_text(to_json(Failure(str(error))))
        reason = str(error).encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        await websocket.close(_CLOSE_CODES.get(status_of(error), 1008), reason)
    except WebSocketDisconnect:
        return


class _Conversation:
    """One client from its first message to its last."""

    def __init__(self, websocket: WebSocket, service: Service, default: str):
        self._websocket = websocket
        self._service = service
        self._variant = websocket.query_params.get("backend", default)
        self._rate_text = websocket.query_params.get("rate", str(SAMPLING_RATE))
        self._ends_at = time.monotonic() + STREAM_SECONDS
        self._stream: ClientStream

    async def run(self) -> None:
        """Answers until the client says that there is no more, by an empty message.

        Raises:
            WebSocketDisconnect: If it left without a word.
            BadRequestError, UserError: If the stream cannot go on.
        """
        rate = self._sampling_rate()
        self._stream = await self._service.in_thread(
            self._service.recogniser.stream, self._variant, "the WebSocket"
        )
        await self._push(rate, np.zeros(0, _SAMPLE))
        try:
            rest = await self._hear(rate)
        except (AudioError, BadRequestError):
            await self._finish()
            raise
        await self._finish()
        if rest:
            await self._send([Hint("the last byte is half a sample, and was left out.")])

    async def _finish(self) -> None:
        await self._send(await self._service.in_thread(self._stream.end))

    async def _hear(self, rate: int) -> bytes:
        """Takes audio to its end; returns what is less than a sample."""
        size = round(BLOCK_SECONDS * rate)
        rest = b""
        while data := await self._receive():
            data = rest + data
            num_samples = len(data) // _SAMPLE.itemsize
            samples = np.frombuffer(data, _SAMPLE, num_samples)
            rest = data[num_samples * _SAMPLE.itemsize :]
            # Piece by piece, so that a minute sent at once does not keep others waiting.
            for first in range(0, num_samples, size):
                await self._push(rate, samples[first : first + size])
        return rest

    async def _receive(self) -> bytes:
        left_s = self._ends_at - time.monotonic()
        try:
            if left_s <= 0:
                raise TimeoutError
            async with asyncio.timeout(min(left_s, BODY_SECONDS)):
                message = await self._websocket.receive()
        except TimeoutError:
            raise BadRequestError(
                f"a stream may last {STREAM_SECONDS:g} s: connect again."
                if left_s <= BODY_SECONDS
                else f"nothing came for {BODY_SECONDS:g} s: send silence too, or an empty message at the end."
            ) from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        data = message.get("bytes")
        if data is None:
            raise AudioError("a text message came, expected binary ones of 16-bit little-endian PCM, mono.")
        return bytes(data)

    async def _push(self, rate: int, samples: np.ndarray) -> None:
        await self._send(await self._service.in_thread(self._stream.push, rate, samples))

    async def _send(self, events: Sequence[Event]) -> None:
        for event in events:
            await self._websocket.send_text(to_json(event))

    def _sampling_rate(self) -> int:
        text = self._rate_text
        rate = int(text) if text.isdecimal() and len(text) < 9 else 0
        if rate not in SAMPLING_RATES:
            raise BadRequestError(
                f"rate={text}: expected {SAMPLING_RATES[0]} to {SAMPLING_RATES[-1]} Hz, such as rate=16000."
            )
        return rate
