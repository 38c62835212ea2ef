"""Pictures of the terminal and the page, from the real programs: ``python -m tests.screens [FOLDER]``.

The words are those of ``inference/app/examples``. The terminal is replayed in real time; the page is that
of a server of its own, in a Chromium without a window.
"""

import argparse
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile
from rich.console import Console
from rich.segment import ControlType, Segment, Segments

from inference.app import __file__ as APP
from inference.audio import SAMPLING_RATE, decode_audio
from tests.conftest import PROJECT

EXAMPLES = Path(APP).parent / "examples"
SPOKEN = ("seven", "three", "five", "zero", "nine")
WIDTH = 84
PAGE_PIXELS = {"width": 1000, "height": 1100}
MAX_BYTES = 200_000


class Terminal(io.StringIO):
    """Standard output that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Always."""
        return True


def listen_picture(path: Path) -> None:
    """Replays the words through ``inference.live`` and draws its terminal as it stands at the end."""
    from inference.live.__main__ import main

    consoles: list[Console] = []

    def recording(**options: object) -> Console:
        consoles.append(Console(**options, record=True, force_terminal=True, width=WIDTH))
        return consoles[-1]

    silence = np.zeros(int(0.6 * SAMPLING_RATE), np.float32)
    words = [part for name in SPOKEN for part in (silence, decode_audio(EXAMPLES / f"{name}.flac"))]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch("rich.console.Console", recording),
        contextlib.redirect_stdout(Terminal()),
    ):
        soundfile.write("words.wav", np.concatenate([*words, silence]), SAMPLING_RATE)
        assert main(["--replay", "words.wav", "--speed", "1"]) == 0
    picture = Console(record=True, file=io.StringIO(), force_terminal=True, width=WIDTH)
    picture.print(Segments(shown(consoles[0]._record_buffer)), end="")
    drawn = picture.export_svg(title="spoken-digits listen", unique_id="listen")
    # Without the fonts that it would fetch from elsewhere.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


def shown(written: Iterable[Segment]) -> Iterator[Segment]:
    """What a terminal shows of all that was written to it, the last status line kept above the summary."""
    line: list[Segment] = []
    for segment in written:
        if segment.control:
            if any(code[0] is ControlType.ERASE_IN_LINE for code in segment.control):
                line = []
            continue
        head, newline, rest = segment.text.partition("\n")
        line.append(Segment(head, segment.style))
        if newline:
            yield from [*line, Segment.line()]
            line = [Segment(rest, segment.style)] if rest else []
    yield from line


def page_picture(path: Path, chromium: str) -> None:
    """Asks the page for a word, with two backends, and takes its picture."""
    from playwright.sync_api import expect, sync_playwright

    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=PAGE_PIXELS)
        page.goto(url)
        page.get_by_label("mfcc", exact=True).check()
        for name, digit in (("three", "3"), ("seven", "7")):  # the first also loads the backends
            page.click(f"text={name}.flac")
            expect(page.locator("#answers .digit").first).to_have_text(digit, timeout=30_000)
            if name == "three":
                page.click('#clip button[aria-label="Clear"]')
        page.wait_for_timeout(1000)
        page.screenshot(path=path)
        browser.close()


@contextlib.contextmanager
def served() -> Iterator[str]:
    """A server on a free port, by its address."""
    command = [sys.executable, "-m", "inference.app", "--port", "0"]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    try:
        assert process.stderr is not None
        yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+/", line)))
    finally:
        process.terminate()
        process.wait(20)


def main(argv: list[str] | None = None) -> int:
    """Draws both."""
    parser = argparse.ArgumentParser(prog="python -m tests.screens", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PROJECT / "results" / "screens")
    folder: Path = parser.parse_args(argv).folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    listen_picture(folder / "listen.svg")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium: the page is left out; apt-get install chromium", file=sys.stderr)
        return 1
    page_picture(folder / "page.png", chromium)
    for path in folder.iterdir():
        assert path.stat().st_size <= MAX_BYTES, f"{path} is larger than {MAX_BYTES} bytes"
    return 0


if __name__ == "__main__":
    sys.exit(main())
