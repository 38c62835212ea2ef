"""What stands before every route: credentials, the size of a request and the time it may take."""

import asyncio
import base64
import binascii
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from inference.errors import UserError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Answers without credentials, so that a load balancer can ask.
OPEN_PATHS = frozenset({"/health"})
#: Longest time for a body to arrive, and longest silence of a WebSocket.
BODY_SECONDS = 30.0
#: The page may load nothing from elsewhere; its own scripts and styles are partly inline.
CONTENT_SECURITY_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'; base-uri 'self'"
)


def parse_credentials(text: str, source: str) -> tuple[str, str]:
    """Splits ``user:password``.

    Args:
        text: The content of a file or variable.
        source: What to call it in messages; its content never appears in one.

    Raises:
        UserError: If a part is missing.
    """
    user, separator, password = text.strip().partition(":")
    if not (user and separator and password):
        raise UserError(f"{source} should hold one line user:password, with neither part empty.")
    return user, password


def error_content(path: str, status: int, message: str) -> dict[str, Any]:
    """The JSON of a refusal: a sentence, or around it what OpenAI's clients read, for what they ask."""
    if not path.startswith("/v1/"):
        return {"error": message}
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


class Guard:
    """ASGI middleware over the whole application.

    Args:
        app: What is guarded.
        credentials: User and password that every request must bring, by HTTP Basic or, as
            ``user:password``, for an API key (Bearer); None for none.
        max_bytes: Largest request body.
        body_seconds: Longest time for a body to arrive.
    """

    def __init__(
        self,
        app: Any,
        credentials: tuple[str, str] | None,
        max_bytes: int,
        body_seconds: float = BODY_SECONDS,
    ):
        self._app = app
        self._credentials = credentials
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] in ("http", "websocket") and not self._is_authorised(scope):
            message = "credentials are missing or wrong: user:password, by HTTP Basic or as the API key."
            await _refuse(scope, send, 401, message, _CHALLENGE)
        elif scope["type"] == "http":
            exchange = _Exchange(scope, receive, send, self._max_bytes, self._body_seconds)
            await self._app(scope, exchange.receive, exchange.send)
        else:
            await self._app(scope, receive, send)

    def _is_authorised(self, scope: Message) -> bool:
        if self._credentials is None or scope["path"] in OPEN_PATHS:
            return True
        scheme, _, given = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True)
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != b"bearer":
            return False
        # Compared in constant time: an answer's delay must not tell how much of it was right.
        return secrets.compare_digest(given, ":".join(self._credentials).encode())


class _Exchange:
    """One request and its response, as the application behind the guard sees them.

    A body that is too large or too slow is answered here; the application is told that the client
    has gone, which it must be able to bear anyway, and whatever it still says is dropped.
    """

    def __init__(self, scope: Message, receive: Receive, send: Send, max_bytes: int, body_seconds: float):
        self._scope = scope
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._body_seconds = body_seconds
        self._deadline = asyncio.get_running_loop().time() + body_seconds
        self._received = 0
        self._complete = False
        self._started = False
        self._refused = False

    async def receive(self) -> Message:
        if self._complete:  # What follows a body is the client's leaving, for which there is no hurry.
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            return await self._refuse(408, f"the body did not arrive within {self._body_seconds:g} s.")
        self._received += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._received > self._max_bytes:
            return await self._refuse(413, f"the body is larger than {self._max_bytes / 2**20:g} MB.")
        return message

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self._started = True
            message = {**message, "headers": [*message.get("headers", []), *_SECURITY_HEADERS]}
        await self._send(message)

    async def _refuse(self, status: int, text: str) -> Message:
        if not self._started:
            await _refuse(self._scope, self._send, status, text)
        self._refused = self._complete = True
        return {"type": "http.disconnect"}


_SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_CHALLENGE = (b"www-authenticate", b'Basic realm="Spoken Digits", charset="UTF-8"')


async def _refuse(
    scope: Message, send: Send, status: int, message: str, *headers: tuple[bytes, bytes]
) -> None:
    # A WebSocket is refused by an answer to the request that asks for it.
    prefix = "websocket.http" if scope["type"] == "websocket" else "http"
    every = [(b"content-type", b"application/json"), (b"connection", b"close"), *headers]
    await send({"type": f"{prefix}.response.start", "status": status, "headers": every})
    body = json.dumps(error_content(scope["path"], status, message)).encode()
    await send({"type": f"{prefix}.response.body", "body": body})
