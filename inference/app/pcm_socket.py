"""WebSockets that take 16-bit PCM and answer it while it comes: ``/v1/stream`` and ``/v1/record``."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from inference.app.guard import BODY_SECONDS
from inference.app.service import FAILURES, BadRequestError, Service, status_of
from inference.app.streaming import BLOCK_SECONDS, STREAM_SECONDS
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


class ClientListener(Protocol):
    """Hears one client; what it returns is sent, events as JSON and bytes as they are."""

    def push(self, sampling_rate: int, waveform: np.ndarray) -> Sequence[Event | bytes]:
        """Takes the next block, ``(num_samples,)`` at a rate in Hz."""

    def press(self, key: str) -> Sequence[Event | bytes]:
        """Takes a text message; AudioError if none is expected."""

    def end(self) -> Sequence[Event | bytes]:
        """Takes the end, where the client said that there is no more."""


def pcm_socket(
    service: Service, begin: Callable[[WebSocket], ClientListener]
) -> Callable[[WebSocket], Awaitable[None]]:
    """Builds the endpoint.

    Args:
        service: Bounds how many are open, and lends its threads.
        begin: Makes who hears a client; UserError or BadRequestError if that is not possible.
    """

    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            with service.streams:
                await _Conversation(websocket, service, begin).run()
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

    def __init__(self, websocket: WebSocket, service: Service, begin: Callable[[WebSocket], ClientListener]):
        self._websocket = websocket
        self._service = service
        self._begin = begin
        self._rate_text = websocket.query_params.get("rate", str(SAMPLING_RATE))
        self._ends_at = time.monotonic() + STREAM_SECONDS
        self._listener: ClientListener

    async def run(self) -> None:
        """Answers until the client says that there is no more, by an empty message.

        Raises:
            WebSocketDisconnect: If it left without a word.
            BadRequestError, UserError: If the stream cannot go on.
        """
        rate = self._sampling_rate()
        self._listener = await self._service.in_thread(self._begin, self._websocket)
        await self._push(rate, np.zeros(0, np.float32))
        try:
            rest = await self._hear(rate)
        except (AudioError, BadRequestError):
            await self._finish()
            raise
        await self._finish()
        if rest:
            await self._send([Hint("the last byte is half a sample, and was left out.")])

    async def _finish(self) -> None:
        await self._send(await self._service.in_thread(self._listener.end))

    async def _hear(self, rate: int) -> bytes:
        """Takes audio to its end; returns what is less than a sample."""
        size = round(BLOCK_SECONDS * rate)
        rest = b""
        while data := await self._receive():
            if isinstance(data, str):
                await self._send(await self._service.in_thread(self._listener.press, data))
                continue
            data = rest + data
            num_samples = len(data) // _SAMPLE.itemsize
            waveform = np.frombuffer(data, _SAMPLE, num_samples) / np.float32(2**15)
            rest = data[num_samples * _SAMPLE.itemsize :]
            # Piece by piece, so that a minute sent at once does not keep others waiting.
            for first in range(0, num_samples, size):
                await self._push(rate, waveform[first : first + size])
        return rest

    async def _receive(self) -> bytes | str:
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
        return str(message["text"]) if data is None else bytes(data)

    async def _push(self, rate: int, waveform: np.ndarray) -> None:
        await self._send(await self._service.in_thread(self._listener.push, rate, waveform))

    async def _send(self, events: Sequence[Event | bytes]) -> None:
        for event in events:
            if isinstance(event, bytes):
                await self._websocket.send_bytes(event)
            else:
                await self._websocket.send_text(to_json(event))

    def _sampling_rate(self) -> int:
        text = self._rate_text
        rate = int(text) if text.isdecimal() and len(text) < 9 else 0
        if rate not in SAMPLING_RATES:
            raise BadRequestError(
                f"rate={text}: expected {SAMPLING_RATES[0]} to {SAMPLING_RATES[-1]} Hz, such as rate=16000."
            )
        return rate
