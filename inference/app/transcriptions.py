"""``POST /v1/audio/transcriptions`` and ``GET /v1/models``, as OpenAI's clients speak them."""

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from inference.app.service import FAILURES, BadRequestError, Service, read_upload, status_of
from inference.backends.table import BACKENDS
from inference.vocabulary import DIGITS, vocabulary

if TYPE_CHECKING:
    from inference.app.recogniser import ClipAnswer

FORMATS = ("json", "text", "verbose_json")
#: What is here a status of its own -> what OpenAI's clients expect.
_STATUSES = {415: 400, 422: 404}
_FIELDS: dict[str, dict[str, Any]] = {
    "file": {"type": "string", "format": "binary"},
    "model": {"type": "string", "description": "a name of /v1/models; left out, the default backend"},
    "response_format": {"type": "string", "enum": list(FORMATS)},
    "language": {"type": "string", "description": "the vocabulary's; digits are English: en"},
    "prompt": {"type": "string", "description": "must be empty: the vocabulary says what may be spoken"},
    "temperature": {"type": "number", "description": "changes nothing: no answer is drawn by chance"},
    "timestamp_granularities[]": {"type": "string", "description": "verbose_json has the times of words"},
    "stream": {"type": "boolean", "description": "must be false"},
}
_FORM = {"schema": {"type": "object", "required": ["file"], "properties": _FIELDS}}
_PROBLEM = {"type": "object", "required": ["message", "type", "param", "code"]}
_ERROR = {
    "content": {
        "application/json": {
            "schema": {"type": "object", "required": ["error"], "properties": {"error": _PROBLEM}}
        }
    }
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No audio that can be used, or a field with a value that cannot be", **_ERROR},
    401: {"description": "The API key is missing or wrong", **_ERROR},
    404: {"description": "No such model", **_ERROR},
    408: {"description": "The body did not arrive in time", **_ERROR},
    413: {"description": "The body is too large", **_ERROR},
    503: {"description": "Too many requests wait, or the model cannot run here", **_ERROR},
}


def add_transcriptions(app: FastAPI, service: Service, default: str) -> None:
    """Adds the routes.

    Args:
        app: What they are added to.
        service: Answers.
        default: Backend of requests that name none.
    """
    path = "/v1/audio/transcriptions"

    @app.post(
        path, responses=_ERRORS, openapi_extra={"requestBody": {"content": {"multipart/form-data": _FORM}}}
    )
    async def transcribe(request: Request) -> Response:
        """Writes down the words of one recording; empty where none was understood."""
        variant = default
        try:
            audio, fields = await read_upload(request)
            _check_fields(fields)
            variant = fields.get("model", default)
            answer = await service.recognise(audio, variant)
        except FAILURES as error:
            status = status_of(error)
            return service.refuse(path, variant, _STATUSES.get(status, status), error)
        if fields.get("response_format") == "text":
            return PlainTextResponse(answer.text)
        if fields.get("response_format") == "verbose_json":
            return JSONResponse(_details(answer, fields.get("language", "")))
        return JSONResponse({"text": answer.text})

    @app.get("/v1/models")
    def list_models() -> dict[str, Any]:
        """The backends whose packages are installed, the default one first."""
        installed = [spec.name for spec in BACKENDS.values() if importlib.util.find_spec(spec.package)]
        names = dict.fromkeys((default, *installed))
        row = {"object": "model", "created": 0, "owned_by": "spoken-digits"}
        return {"object": "list", "data": [{"id": name, **row} for name in names]}


def _check_fields(fields: Mapping[str, str]) -> None:
    """Refuses what would be left out of account in silence."""
    unknown = sorted(fields.keys() - _FIELDS.keys())
    if unknown:
        raise BadRequestError(f"unknown fields {', '.join(unknown)}; there are {', '.join(_FIELDS)}.")
    chosen = fields.get("response_format", FORMATS[0])
    if chosen not in FORMATS:
        raise BadRequestError(f"response_format {chosen!r}: expected one of {', '.join(FORMATS)}.")
    if fields.get("prompt"):
        raise BadRequestError("prompt: leave it out; the vocabulary alone says what may be spoken.")
    language = fields.get("language", "")
    if vocabulary() is DIGITS and language.lower() not in ("", "en", "english"):
        raise BadRequestError(f"language {language!r}: the digits are English ones; expected en.")
    if fields.get("stream", "false").lower() != "false":
        raise BadRequestError("stream: an answer comes as a whole; the WebSocket /v1/stream is for streams.")


def _details(answer: "ClipAnswer", language: str) -> dict[str, Any]:
    """What OpenAI's clients know, and beside it what ``/predict`` says."""
    words = [
        {"word": spoken.word, "start": spoken.start_s, "end": spoken.end_s}
        | {
            name: getattr(spoken, name)
            for name in ("label", "reason", "score", "probabilities", "hypothesis")
        }
        for spoken in answer.spoken
    ]
    return asdict(answer) | {
        "task": "transcribe",
        "language": "english" if vocabulary() is DIGITS else language,
        "duration": answer.duration_s,
        "text": answer.text,
        "words": words,
    }
