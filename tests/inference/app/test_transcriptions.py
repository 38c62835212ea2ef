"""Transcriptions by the official client of OpenAI, against a running server."""

import io
from pathlib import Path

import numpy as np
import openai
import pytest
import soundfile

from inference.backends.table import BACKENDS, DEFAULT_BACKEND
from tests.inference.app.conftest import EXAMPLES, Server, documented
from tests.inference.app.test_api import SEVEN, post, wav

MODEL = DEFAULT_BACKEND


def client(server: Server, key: str = "any") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


def spoken(*names: str) -> bytes:
    """Words with a second of quiet around each, as WAV."""
    quiet = 1e-4 * np.random.default_rng(0).standard_normal(16_000)
    words = [soundfile.read(EXAMPLES / f"{name}.flac")[0] for name in names]
    return wav(np.concatenate([quiet, *(part for word in words for part in (word, quiet))]))


def test_each_format_holds_the_label(server: Server) -> None:
    ask = client(server).audio.transcriptions.create
    assert ask(model=MODEL, file=SEVEN).text == "7"
    assert ask(model=MODEL, file=SEVEN, response_format="text") == "7"
    answer = ask(
        model=MODEL,
        file=SEVEN,
        response_format="verbose_json",
        language="en",
        temperature=0,
        timestamp_granularities=["word"],
    )
    assert (answer.text, answer.language, answer.label, answer.reason) == ("7", "english", "7", None)
    assert answer.probabilities["7"] == answer.score
    assert answer.duration == pytest.approx(soundfile.info(io.BytesIO(SEVEN)).duration, abs=1e-3)
    (word,) = answer.words
    assert (word.word, word.start, word.end) == ("7", 0.0, answer.duration)


def test_several_words_are_written_in_order(server: Server) -> None:
    ask = client(server).audio.transcriptions.create
    recording = spoken("three", "seven")
    assert ask(model=MODEL, file=recording).text == "3 7"
    answer = ask(model=MODEL, file=recording, response_format="verbose_json")
    assert (answer.label, answer.reason) == (None, "several_words")
    assert [word.word for word in answer.words] == ["3", "7"]
    assert 0.9 < answer.words[0].start < answer.words[0].end < answer.words[1].start


def test_what_is_refused_gives_an_empty_text_and_its_reason(server: Server) -> None:
    ask = client(server).audio.transcriptions.create
    noise = wav(0.3 * np.random.default_rng(0).standard_normal(16_000))
    assert ask(model=MODEL, file=noise).text == ""
    answer = ask(model=MODEL, file=noise, response_format="verbose_json")
    assert (answer.text, answer.label) == ("", None)
    assert answer.reason in ("low_score", "unknown_class")
    assert set(answer.probabilities) == set("0123456789")
    silent = ask(model=MODEL, file=wav(np.zeros(32_000)), response_format="verbose_json")
    assert (silent.text, silent.reason, silent.words) == ("", "no_speech", [])


def test_models_are_the_backends(server: Server) -> None:
    names = [model.id for model in client(server).models.list()]
    assert names[0] == DEFAULT_BACKEND
    assert sorted(names) == sorted(BACKENDS)
    answer = client(server).audio.transcriptions.create(
        model="mfcc", file=SEVEN, response_format="verbose_json"
    )
    assert answer.backend == "mfcc"
    assert answer.score == post(f"{server.url}/predict?backend=mfcc", SEVEN)[1]["score"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "whisper-1"}, openai.NotFoundError, "choose one of: mfcc"),
        ({"response_format": "srt"}, openai.BadRequestError, "expected one of json, text, verbose_json"),
        ({"prompt": "digits"}, openai.BadRequestError, "prompt: leave it out"),
        ({"language": "de"}, openai.BadRequestError, "language 'de': the digits are English ones"),
        ({"stream": True}, openai.BadRequestError, "the WebSocket /v1/stream is for streams"),
        ({"extra_body": {"speed": "2"}}, openai.BadRequestError, "unknown fields speed"),
        ({"file": b"no audio"}, openai.BadRequestError, "not audio that FFmpeg can read"),
        ({"file": wav(np.zeros(16_000 * 6))}, openai.BadRequestError, "lasts more than 5 s"),
        ({"file": b""}, openai.BadRequestError, "no audio was sent"),
        ({"file": bytes(2**20 + 1)}, openai.APIStatusError, "larger than 1 MB"),
    ],
)
def test_what_cannot_be_done_is_told_in_openai_form(
    server: Server, options: dict, error: type[openai.APIStatusError], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        client(server).audio.transcriptions.create(**{"model": MODEL, "file": SEVEN} | options)
    assert set(raised.value.body) == {"message", "type", "param", "code"}
    assert raised.value.type == "invalid_request_error"


def test_another_route_of_openai_is_told_what_there_is(server: Server) -> None:
    with pytest.raises(openai.NotFoundError, match="there are /v1/audio/transcriptions"):
        client(server).audio.translations.create(model=MODEL, file=SEVEN)


def test_the_example_of_the_documentation(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "recording.wav").write_bytes(SEVEN)
    monkeypatch.chdir(tmp_path)
    exec(documented("from openai").replace("http://127.0.0.1:7860", server.url), {})
    assert capsys.readouterr().out == "7\n"


def test_the_credentials_are_the_key(guarded: Server) -> None:
    key = "anna:s3cret:with colon"
    assert client(guarded, key).audio.transcriptions.create(model=MODEL, file=SEVEN).text == "7"
    with pytest.raises(openai.AuthenticationError, match="credentials are missing or wrong"):
        client(guarded, "s3cret").models.list()
