"""The page in a real browser, whose microphone is fed from a file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, Playwright, expect, sync_playwright

from inference.audio import SAMPLING_RATE, decode_audio, resample
from inference.backends.table import BACKENDS
from tests.inference.app.conftest import EXAMPLES, Server

DIGITS = "371"
SPEAKER = "jackson"
FAKE_RATE = 48_000


@pytest.fixture(scope="module")
def spoken(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three digits with pauses; the file starts again and again."""
    path = tmp_path_factory.mktemp("microphone") / "words.wav"
    clips = [decode_audio(recordings / f"{digit}_{SPEAKER}_0.wav") for digit in DIGITS]
    silence = np.zeros(int(1.5 * SAMPLING_RATE), np.float32)
    waveform = np.concatenate([part for clip in clips for part in (silence, clip)])
    waveform += 1e-4 * np.random.default_rng(0).standard_normal(waveform.size).astype(np.float32)
    soundfile.write(path, resample(waveform, SAMPLING_RATE, FAKE_RATE), FAKE_RATE, subtype="PCM_16")
    return path


def browse(
    playwright: Playwright, chromium: str, microphone: Path, server: Server, **options: Any
) -> Iterator[Page]:
    """The page of a server, in a browser whose microphone is fed from a file; nothing else may be asked."""
    switches = (
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    )
    browser = playwright.chromium.launch(executable_path=chromium, args=list(switches))
    context = browser.new_context(permissions=["microphone"], **options)
    page = context.new_page()
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url))
    page.goto(server.url)
    expect(page.locator("#clip")).to_be_visible(timeout=120_000)
    yield page
    outside = [url for url in foreign if not url.startswith((server.url, "data:", "blob:"))]
    assert not outside, "the page asked elsewhere"
    browser.close()


@pytest.fixture
def page(server: Server, chromium: str, spoken: Path) -> Iterator[Page]:
    with sync_playwright() as playwright:
        yield from browse(playwright, chromium, spoken, server)


def digit(page: Page) -> Any:
    return page.locator("#answers .digit").first


def test_upload_gives_a_digit_a_picture_or_a_clear_message(page: Page, tmp_path: Path) -> None:
    page.click('#clip button[aria-label="Upload file"]')
    page.set_input_files("#clip input[type=file]", EXAMPLES / "three.flac")
    expect(digit(page)).to_have_text("3", timeout=120_000)
    expect(page.locator("#picture svg .crop")).to_be_visible()
    page.click('role=tab[name="History"]')
    expect(page.locator("#history")).to_contain_text("three.flac")
    page.click('role=tab[name="Clip"]')
    page.click('#clip button[aria-label="Clear"]')
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF nothing that follows is audio" * 9)
    page.set_input_files("#clip input[type=file]", broken)
    expect(page.locator("#answers [role=alert]")).to_contain_text("broken.wav", timeout=120_000)


def test_every_backend_answers_or_says_why_not(page: Page) -> None:
    page.click("text=three.flac")
    expect(digit(page)).to_have_text("3", timeout=120_000)
    page.click("#ask-all")
    expect(page.locator("#answers .answer")).to_have_count(len(BACKENDS), timeout=120_000)


def test_a_recording_gives_its_digit(page: Page) -> None:
    page.click('#clip button:has-text("Record")')
    page.wait_for_timeout(2200)  # the first word and the silence around it; the second comes later
    page.click('#clip button:has-text("Stop")')
    expect(digit(page)).to_have_text(DIGITS[0], timeout=120_000)


@pytest.mark.timeout(240)
def test_a_stream_gives_its_digits_in_order(page: Page) -> None:
    answers: list[Any] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda line: answers.append(line)))
    page.click('role=tab[name="Live"]')
    tab = page.locator("#live")
    record, words = tab.locator("[name=record]"), tab.locator(".spoken")
    record.click()
    # The first round may have begun before the server listens; from then on no word is lost.
    expect(words).to_contain_text(2 * DIGITS, timeout=120_000)
    expect(words.locator(".digit").first).to_have_attribute("title", re.compile(r"^0\.\d{3}$"))
    record.click()
    expect(record).to_have_text("Record", timeout=120_000)
    assert json.loads(answers[-1])["type"] == "summary"  # behind the answer to a word that the end cut off
    tab.locator("[name=clear]").click()
    expect(words).to_have_text("")
    page.evaluate("document.querySelector('#live option').value = 'nope'")
    record.click()
    expect(tab.locator(".said")).to_contain_text("unknown backend 'nope'", timeout=120_000)
    expect(record).to_have_text("Record")
