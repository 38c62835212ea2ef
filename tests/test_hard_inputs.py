"""Recordings that are hard to read, in a folder of the user's: every way in gives each one's word.

Named by SPOKEN_DIGITS_HARD_INPUTS. Files below a folder ``adpcm`` begin with their digit, all others hold
the word seven, but for those named here. Run with ``-s`` to see the table.
"""

import http.client
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import inference.live.__main__ as live
from finetune.corpus.loading import load_corpus
from inference import predict
from inference.audio_files import list_audio
from inference.backends.table import load_backend
from inference.errors import CorpusError
from tests.inference.app.conftest import Server, start_server  # noqa: F401

FOLDER = Path(os.environ.get("SPOKEN_DIGITS_HARD_INPUTS", "none"))
SEVERAL_WORDS = ("five_words_ima.wav", "long_offset25.webm")
WAYS = ("whole", "--segments", "--replay", "corpus", "POST /predict")

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="needs hard recordings: set SPOKEN_DIGITS_HARD_INPUTS to their folder"
)


def hard_files() -> list[Path]:
    """All recordings, and the files that look like one and are none."""
    return [*list_audio(FOLDER).files, *sorted(FOLDER.rglob("._*"))] if FOLDER.is_dir() else []


def expected(path: Path) -> str:
    """What is to be answered, once or for every stretch of speech."""
    if path.name.startswith("._"):
        return "error"
    if path.name in SEVERAL_WORDS:
        return "refused"
    return path.name[0] if path.parent.name == "adpcm" else "7"


@pytest.fixture(scope="module")
def post(start_server: Callable[..., Server]) -> Callable[[bytes], str]:  # noqa: F811
    server = start_server()

    def ask(content: bytes) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        connection.request("POST", "/predict", content)
        response = connection.getresponse()
        answer = json.loads(response.read())
        return "error" if response.status == 415 else answer["label"] or "refused"

    return ask


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[Path, tuple[str, ...]]]:
    rows: dict[Path, tuple[str, ...]] = {}
    yield rows
    print("\n| file | expected |", " | ".join(WAYS), "|\n|" + "---|" * (2 + len(WAYS)))
    for path, answers in rows.items():
        print(f"| {path.relative_to(FOLDER)} | {expected(path)} |", " | ".join(answers), "|")


@pytest.fixture(scope="module")
def backend():
    return load_backend("wav2vec2")


@pytest.mark.parametrize("path", hard_files(), ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_way_in_gives_the_word(path, rows, backend, post, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(predict, "load_backend", lambda *_: backend, raising=False)
    monkeypatch.setattr("inference.backends.table.load_backend", lambda *_: backend)
    monkeypatch.setattr(live, "load_backend", lambda *_: backend)

    def lines(main: Callable[[list[str]], int], *options: str) -> list[str]:
        status = main([*options, str(path)])
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        words = [
            record.get("label", record.get("digit"))
            for record in records
            if record.get("type", "digit") in ("digit", "reject") and not record.get("error")
        ]
        return ["refused" if word is None else str(word) for word in words] or [
            "error" if status else "nothing"
        ]

    def from_corpus() -> str:
        folder = tmp_path / "corpus" / "seven"
        folder.mkdir(parents=True)
        shutil.copy(path, folder / path.name.lstrip("._"))
        (clip,) = load_corpus(str(folder.parent)).clips
        try:
            (prediction,) = backend.predict([clip.waveform()])
        except CorpusError:
            return "error"
        # What a clip is said to hold is not questioned.
        return expected(path) if path.name in SEVERAL_WORDS else str(prediction.label)

    answers = {
        "whole": lines(predict.main, "--json"),
        "--segments": lines(predict.main, "--json", "--segments"),
        "--replay": lines(live.main, "--jsonl", "--replay"),
        "corpus": [from_corpus()],
        "POST /predict": [post(path.read_bytes())],
    }
    rows[path] = tuple(" ".join(answers[way]) for way in WAYS)
    assert all(set(answer) == {expected(path)} for answer in answers.values()), answers
