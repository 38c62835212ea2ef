"""The guard alone: slow bodies, and the choice of credentials."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.app.guard import Guard, parse_credentials
from inference.errors import UserError


async def application(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["type"].encode()})


def exchange(
    chunks: list[tuple[float, bytes]], max_bytes: int = 100, body_seconds: float = 0.2
) -> list[dict]:
    sent: list[dict] = []
    waiting = list(chunks)

    async def receive() -> dict:
        delay, body = waiting.pop(0)
        await asyncio.sleep(delay)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    guard = Guard(application, None, max_bytes, body_seconds)
    asyncio.run(guard({"type": "http", "path": "/", "headers": []}, receive, send))
    return sent


def test_a_body_that_trickles_is_given_up() -> None:
    sent = exchange([(0.08, b"x")] * 10)
    assert [message.get("status") for message in sent] == [408, None]
    assert b"did not arrive within 0.2 s" in sent[1]["body"]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8))
def test_exactly_the_bodies_above_the_limit_are_refused(chunks: list[bytes]) -> None:
    sent = exchange([(0.0, chunk) for chunk in chunks], max_bytes=60)
    assert sent[0]["status"] == (413 if sum(map(len, chunks)) > 60 else 200)
    assert len([message for message in sent if message["type"] == "http.response.start"]) == 1


@pytest.mark.parametrize("text", ["", "anna", "anna:", ":secret", "\n"])
def test_credentials_need_both_parts_and_are_never_repeated(text: str) -> None:
    with pytest.raises(UserError, match="user:password") as error:
        parse_credentials(text, "$AUTH")
    assert "secret" not in str(error.value)
