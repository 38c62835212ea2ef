"""The page in a real browser, whose microphone is fed from a file, served by Python's plain web server."""

import base64
import hashlib
import io
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from finetune.export import main
from finetune.web import folder as web_folder
from finetune.web.folder import RUNTIME_FILES, find_runtime
from inference.audio import SAMPLING_RATE, decode_audio, resample
from inference.backends.table import load_backend
from inference.errors import BackendUnavailableError, UserError
from inference.live.engine.events import Utterance
from inference.live.recognition import UtteranceRecogniser, build_engine
from inference.weights.download import RemoteFile
from tests.conftest import browser_with_microphone

BACKEND = "speech-embedding"
DIGITS = "37195"
FAKE_RATE = 48_000
PAUSE_S = 0.8


@pytest.fixture(scope="module")
def spoken(recordings: Path) -> np.ndarray:
    """Five test clips of one speaker in a quiet room, and a longer pause before they start again."""
    clips = [decode_audio(recordings / f"{digit}_jackson_0.wav") for digit in DIGITS]
    pause = np.zeros(round(PAUSE_S * SAMPLING_RATE), np.float32)
    waveform = np.concatenate([*(part for clip in clips for part in (pause, clip)), *[pause] * 3])
    room = np.random.default_rng(0).standard_normal(waveform.size).astype(np.float32)
    return waveform + 1e-4 * room


@pytest.fixture(scope="module")
def folder(spoken_corpus: Path, onnxruntime_web: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("web") / "page"
    options = ["--dataset", str(spoken_corpus), "--onnxruntime-web", str(onnxruntime_web)]
    assert main([BACKEND, "--format", "web", "--out", str(out), *options]) == 0
    return out


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+/", server.stdout.readline())
        assert found
        yield found[0]
        server.terminate()


@pytest.fixture(scope="module")
def page(
    url: str, spoken: np.ndarray, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("microphone") / "words.wav"
    soundfile.write(path, resample(spoken, SAMPLING_RATE, FAKE_RATE), FAKE_RATE, subtype="PCM_16")
    with browser_with_microphone(chromium, path) as browser:
        page = browser.new_context(permissions=["microphone"]).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        expect(page.locator("#status")).to_have_text("Ready.", timeout=120_000)
        yield page
    assert any(address.endswith(".wasm") for address in asked)
    assert not [address for address in asked if not address.startswith((url, "data:"))], "asked elsewhere"


@pytest.mark.timeout(300)
def test_spoken_digits_are_answered_in_order(page: Page) -> None:
    page.click("#toggle")
    # The file repeats: a starved browser may lose a block of one round, hardly of every one.
    said = r"""digits => [...document.querySelectorAll("#words li span:first-child")]
        .map(item => item.textContent).reverse().join("").includes(digits)"""
    page.wait_for_function(said, arg=DIGITS, timeout=120_000)
    newest = page.locator("#words li.word").first
    expect(newest).to_have_text(re.compile(r"\d+ % ?\d+ ms|\d+ ?%"))
    page.click("#toggle")
    expect(page.locator("#status")).to_have_text("Stopped.")


def test_the_page_cuts_and_answers_as_the_live_engine_does(page: Page, spoken: np.ndarray) -> None:
    """The same utterances, sample for sample, also of what is refused, and the same answers."""
    rng = np.random.default_rng(1)
    click = 0.5 * rng.standard_normal(SAMPLING_RATE // 12).astype(np.float32)
    hum = 0.2 * np.sin(np.arange(2 * SAMPLING_RATE) / 20).astype(np.float32)
    faint = 1e-3 * spoken[: 2 * SAMPLING_RATE]
    silence = np.zeros(SAMPLING_RATE // 2, np.float32)
    loud = np.clip(60 * spoken[: 2 * SAMPLING_RATE], -1, 1)
    waveform = np.concatenate(
        [
            spoken,
            silence,
            spoken[: SAMPLING_RATE * 2],
            silence,
            click,
            silence,
            hum,
            silence,
            faint,
            silence,
            loud,
        ]
    ).astype(np.float32)
    backend = load_backend(BACKEND)
    engine, recogniser = build_engine(backend, detector="energy"), UtteranceRecogniser(backend, BACKEND)
    expected = [event for event in engine.push(waveform) if isinstance(event, Utterance)]
    assert {"too_short", "too_long", None} <= {utterance.reason for utterance in expected}
    found = page.evaluate(
        """async text => {
            const { Listener } = await import("./recogniser.js");
            const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
            const waveform = new Float32Array(bytes.buffer);
            const listener = new Listener(await (await fetch("recogniser.json")).json());
            const utterances = [];
            for (let first = 0; first < waveform.length; first += 128) {
                utterances.push(...listener.push(waveform.subarray(first, first + 128)));
            }
            return utterances.map(({ waveform, ...rest }) => ({ ...rest, samples: [...waveform] }));
        }""",
        base64.b64encode(waveform.tobytes()).decode(),
    )
    assert [(one["start"], one["end"], one["decided"], one["reason"]) for one in found] == [
        (one.start, one.end, one.decided, one.reason) for one in expected
    ]
    for one, other in zip(found, expected, strict=True):
        # The graph pads a short crop by itself.
        assert np.array_equal(one["samples"], other.waveform[: len(one["samples"])])
        assert not other.waveform[len(one["samples"]) :].any()
    answers = [recogniser.answer(utterance).answer for utterance in expected]
    assert "".join(answer.label or "" for answer in answers[: len(DIGITS)]) == DIGITS
    decided = page.evaluate(
        """async cases => {
            const { decide } = await import("./recogniser.js");
            const settings = await (await fetch("recogniser.json")).json();
            return cases.map(([values, none]) => decide(values, none, settings))
                .map(({ label, reason }) => [label && label.label, reason]);
        }""",
        [
            [answer.prediction.probabilities, answer.prediction.none_probability]
            for answer in answers
            if answer.prediction.probabilities
        ],
    )
    assert decided == [[answer.label, answer.reason] for answer in answers if answer.prediction.probabilities]


def test_what_the_page_needs_lies_in_the_folder(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *RUNTIME_FILES,
        "export.json",
        "index.html",
        "onnxruntime-LICENSE.txt",
        "onnxruntime-notices.txt",
        "recogniser.js",
        "recogniser.json",
        "recogniser.onnx",
        "worklet.js",
    }


def test_the_runtime_is_fetched_from_the_registry_that_npm_uses_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "onnxruntime-web" / "-" / web_folder._PACKAGE.name
    package.parent.mkdir(parents=True)
    with tarfile.open(package, "w:gz") as archive:
        for name in (*RUNTIME_FILES, "unneeded.js"):
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", tmp_path.as_uri())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SPOKEN_DIGITS_OFFLINE")
    size = package.stat().st_size
    monkeypatch.setattr(web_folder, "_PACKAGE", RemoteFile(package.name, size, sha512="0" * 128))
    with pytest.raises(BackendUnavailableError, match=r"sha512 differs.* --onnxruntime-web FOLDER"):
        find_runtime()
    published = hashlib.sha512(package.read_bytes()).hexdigest()
    monkeypatch.setattr(web_folder, "_PACKAGE", RemoteFile(package.name, size, sha512=published))
    folder = find_runtime()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: name for name in RUNTIME_FILES
    }
    package.unlink()
    assert find_runtime() == folder


def test_without_network_one_sentence_says_how_to_supply_the_runtime() -> None:
    with pytest.raises(BackendUnavailableError, match="--onnxruntime-web FOLDER"):
        find_runtime()


def test_a_folder_without_the_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"lacks ort\.wasm\.bundle\.min\.mjs"):
        find_runtime(tmp_path)
