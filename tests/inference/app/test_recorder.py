"""Guided recording in the browser: block by block, over the WebSocket, and in a real browser."""

import io
import json
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect, sync_playwright
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from inference.app.__main__ import main
from inference.app.api import build_api
from inference.app.guard import Guard
from inference.app.recogniser import ClipRecogniser
from inference.app.recorder import ClientRecording
from inference.audio import SAMPLING_RATE
from inference.errors import AudioError
from inference.live.engine.events import Asked, Hint, Taken
from inference.record.prompts import missing_prompts
from inference.vocabulary import VARIABLE, use_vocabulary
from tests.inference.app.conftest import EXAMPLES, Server
from tests.inference.app.test_page import browse

RATE = 16_000
WORDS = "labels:\n  seven: [seven]\n  five: [five]\n"


def quiet(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).integers(-2, 3, int(seconds * RATE)).astype("<i2")


def word(name: str) -> np.ndarray:
    return soundfile.read(EXAMPLES / f"{name}.flac", dtype="int16")[0]


SPOKEN = np.concatenate([quiet(1), word("seven"), quiet(1)])
DOUBLED = np.concatenate([quiet(1), word("seven"), quiet(0.25), word("five"), quiet(1)])


@pytest.fixture(autouse=True)
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vocabulary of two words, in use."""
    monkeypatch.setenv(VARIABLE, "")
    path = tmp_path / "words.yaml"
    path.write_text(WORDS)
    use_vocabulary(path)
    return path


class Walk:
    """One visitor's recording; what came of each block and key."""

    def __init__(self, folder: Path, num_takes: int = 1, non_words: Path | None = None):
        self.recording = ClientRecording("anna", num_takes, folder, non_words)
        self.answers = list(self.recording.push(RATE, np.zeros(0, np.float32)))

    def say(self, samples: np.ndarray) -> "Walk":
        waveform = samples / np.float32(2**15)
        for first in range(0, waveform.size, 2048):
            self.answers += self.recording.push(RATE, waveform[first : first + 2048])
        return self

    def press(self, key: str) -> "Walk":
        self.answers += self.recording.press(key)
        return self

    def of(self, kind: type) -> list:
        return [answer for answer in self.answers if isinstance(answer, kind)]

    @property
    def asked(self) -> list[str]:
        return [event.text for event in self.of(Asked)]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_a_take_is_kept_and_given_back_and_a_refusal_asks_again(tmp_path: Path) -> None:
    first, second = (prompt.path.name for prompt in missing_prompts("anna", 1, tmp_path / "kept"))
    walk = Walk(tmp_path / "kept").say(SPOKEN).say(DOUBLED)
    assert files(tmp_path / "kept") == [first]
    assert walk.of(bytes) == [(tmp_path / "kept" / first).read_bytes()]
    with wave.open(io.BytesIO(walk.of(bytes)[0])) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLING_RATE)
    kept, refused = walk.of(Taken)
    assert (kept.name, kept.problem) == (first, None)
    assert refused.problem.startswith("doubled")
    assert [text[:8] for text in walk.asked] == ["[1 of 2]", "[2 of 2]", "[2 of 2]"]
    walk.say(SPOKEN)
    assert files(tmp_path / "kept") == sorted([first, second])
    assert walk.asked[-1] == "anna: all takes are kept."
    assert Walk(tmp_path / "kept").asked == ["anna: all takes are kept."]


def test_the_keys_take_back_skip_and_listen_again(tmp_path: Path) -> None:
    walk = Walk(tmp_path / "kept").say(SPOKEN).press("s")
    assert walk.asked[-1].startswith("anna: 1 to go")
    walk.say(SPOKEN)  # which nobody asked for
    assert len(walk.of(Taken)) == 1
    walk.press("a")
    assert files(tmp_path / "kept") == []
    assert walk.asked[-1].startswith("[1 of 2]")
    middle = RATE + word("seven").size // 2
    walk.say(SPOKEN[:middle]).press("p").say(SPOKEN[middle:])
    assert walk.of(Taken)[-1].problem.startswith("cut")
    walk.say(SPOKEN).say(SPOKEN)
    assert len(files(tmp_path / "kept")) == 2
    with pytest.raises(AudioError, match=r"'quit' is no key: there are a, s and p\."):
        walk.press("quit")


def test_two_of_one_name_overwrite_nothing(tmp_path: Path) -> None:
    one, other = Walk(tmp_path / "kept"), Walk(tmp_path / "kept")
    one.say(SPOKEN)
    (name,) = files(tmp_path / "kept")
    content = (tmp_path / "kept" / name).read_bytes()
    other.say(np.concatenate([quiet(1), word("nine"), quiet(1)]))
    assert (tmp_path / "kept" / name).read_bytes() == content
    assert name in other.of(Hint)[0].text
    assert other.asked[-1].startswith("[2 of 2]")


def test_non_words_are_asked_for_where_they_are_wanted(tmp_path: Path) -> None:
    walk = Walk(tmp_path / "kept", 1, tmp_path / "others").say(quiet(4)).say(SPOKEN).say(SPOKEN).say(SPOKEN)
    assert files(tmp_path / "others") == ["none_anna_0.wav", "room_anna_0.wav"]
    assert len(files(tmp_path / "kept")) == 2
    assert "be quiet" in walk.asked[0]


def connect(folder: Path | None, query: str, **headers: str) -> WebSocketTestSession:
    api = build_api(ClipRecogniser({}), "mfcc", max_waiting=2, workers=1, recordings=folder)
    return TestClient(api).websocket_connect(f"/v1/record?{query}", headers=headers)


@pytest.mark.parametrize(
    ("query", "headers", "text"),
    [
        ("speaker=../../anna", {}, "'../../anna' is to be part of file names"),
        ("speaker=/tmp/anna", {}, "as in tmp-anna"),
        ("speaker=" + 65 * "a", {}, "64 at most"),
        ("takes=2", {}, "as in anna"),
        ("speaker=anna&takes=101", {}, "takes=101: expected 1 to 100."),
        ("speaker=anna&takes=0", {}, "takes=0: expected"),
        ("speaker=anna&takes=1e3", {}, "takes=1e3: expected"),
        ("speaker=anna&rate=5", {}, "rate=5: expected 8000"),
        ("speaker=anna", {"origin": "http://elsewhere.example"}, "came from http://elsewhere.example"),
    ],
)
def test_what_cannot_be_recorded_is_told_and_writes_nothing(
    query: str, headers: dict[str, str], text: str, tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "kept"
    with connect(folder, query, **headers) as socket:
        line = json.loads(socket.receive_text())
        assert (line["type"], socket.receive()["code"]) == ("error", 1008)
    assert text in line["text"]
    assert files(tmp_path) == ["words.yaml"]


def test_a_page_of_the_same_place_records(tmp_path: Path) -> None:
    origin = {"origin": "http://testserver"}
    with connect(tmp_path / "kept", "speaker=anna&takes=1&rate=16000", **origin) as socket:
        assert [json.loads(socket.receive_text())["type"] for _ in range(2)] == ["ready", "asked"]
        socket.send_bytes(SPOKEN.tobytes())
        kinds = [json.loads(socket.receive_text())["type"] for _ in range(3)]
        assert kinds == ["state", "state", "taken"]
        (name,) = files(tmp_path / "kept")
        assert socket.receive_bytes() == (tmp_path / "kept" / name).read_bytes()
        assert json.loads(socket.receive_text())["text"].startswith("[2 of 2] say: ")


def test_nobody_records_unless_the_server_allows_it(tmp_path: Path) -> None:
    with pytest.raises(WebSocketDisconnect), connect(None, "speaker=anna"):
        pass
    api = build_api(ClipRecogniser({}), "mfcc", max_waiting=2, workers=1, recordings=tmp_path / "kept")
    client = TestClient(Guard(api, ("anna", "s3cret"), max_bytes=2**20))
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/record?speaker=anna"):
        pass
    assert files(tmp_path) == ["words.yaml"]


def test_folders_that_cannot_be_are_told_before_anything_starts(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--non-words", str(tmp_path / "others")])
    assert ended.value.code == 2
    assert "add --recordings FOLDER" in capsys.readouterr().err
    assert main(["--recordings", str(tmp_path / "a"), "--non-words", str(tmp_path / "a" / "b")]) == 2
    assert f"and --recordings {tmp_path / 'a'} share files" in capsys.readouterr().err


@pytest.fixture
def recording_server(start_server: Callable[..., Server], tmp_path: Path, words: Path) -> Server:
    """A page for words of which there is no model yet."""
    folder = str(tmp_path / "kept")
    return start_server("--vocabulary", str(words), "--recordings", folder, SPOKEN_DIGITS_AUTH="anna:s3cret")


@pytest.fixture
def page(recording_server: Server, chromium: str, tmp_path: Path) -> Iterator[Page]:
    """The page, and a microphone with a word, and two times two words without a pause, again and again."""
    microphone = tmp_path / "microphone.wav"
    soundfile.write(microphone, np.concatenate([SPOKEN, DOUBLED, DOUBLED]), RATE, subtype="PCM_16")
    with sync_playwright() as playwright:
        credentials = {"username": "anna", "password": "s3cret"}
        yield from browse(playwright, chromium, microphone, recording_server, http_credentials=credentials)


#: Notes what the page sends, and how much of it while a take is played.
WATCH = """() => {
  const send = WebSocket.prototype.send;
  window.sent = [];
  window.sentInPlay = 0;
  WebSocket.prototype.send = function (data) {
    const player = document.querySelector("#record audio");
    if (typeof data === "string") sent.push(data);
    else if (sent.at(-1) !== "a block") sent.push("a block");
    if (!player.paused && !player.ended) sentInPlay += 1;
    return send.call(this, data);
  };
}"""


@pytest.mark.timeout(300)
def test_the_tab_records_refuses_plays_takes_back_and_skips(
    page: Page, recording_server: Server, tmp_path: Path
) -> None:
    assert "the page records, but does not answer yet" in recording_server.log.read_text()
    page.evaluate(WATCH)
    page.click('role=tab[name="Record"]')
    tab = page.locator("#record")
    record = tab.locator("[name=record]")
    tab.locator("[name=speaker]").fill("../anna")
    tab.locator("[name=takes]").fill("1")
    record.click()
    expect(tab.locator(".said")).to_contain_text("is to be part of file names", timeout=120_000)
    expect(record).to_have_text("Record")
    tab.locator("[name=speaker]").fill("anna")
    record.click()
    expect(tab.locator(".progress")).to_have_text("1 of 2", timeout=120_000)
    expect(tab.locator(".asked")).to_contain_text("say: ")
    expect(tab.locator(".said")).to_contain_text("kept ", timeout=120_000)
    kept = tmp_path / "kept"
    (name,) = files(kept)
    size = "async () => (await (await fetch(document.querySelector('#record audio').src)).blob()).size"
    assert page.evaluate(size) == (kept / name).stat().st_size
    expect(tab.locator(".said")).to_contain_text("once more: doubled", timeout=120_000)
    tab.locator("[name=skip]").click()
    expect(tab.locator(".asked")).to_contain_text("1 to go", timeout=120_000)
    tab.locator("[name=again]").click()
    expect(tab.locator(".progress")).to_have_text("1 of 2", timeout=120_000)
    expect(tab.locator(".asked")).to_have_text("anna: all takes are kept.", timeout=120_000)
    assert len(files(kept)) == 2
    page.evaluate("() => document.querySelector('#record audio').play()")
    page.wait_for_function("() => sent.includes('p')", timeout=120_000)
    assert page.evaluate("sent.filter((what) => what !== 'a block')") == ["s", "a", "p"]
    assert page.evaluate("sentInPlay") == 0
    record.click()
    expect(record).to_have_text("Record", timeout=120_000)
    assert "Traceback" not in recording_server.log.read_text()
