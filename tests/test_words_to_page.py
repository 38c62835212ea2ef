"""The ten commands from nothing to a page that knows one's own words, as the README has them.

Synthetic voices speak into a virtual microphone; the page runs in a browser that is fed from a file and
is served by Python's plain web server.
"""

import json
import os
import queue
import re
import shlex
import subprocess
import sys
import threading
from itertools import chain, cycle
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from benchmarks.live.virtual_microphone import PulseServer, missing_tool
from inference.audio import SAMPLING_RATE, decode_audio
from inference.audio_files import list_audio
from inference.live.source.recording import to_int16
from inference.vocabulary import VARIABLE, use_vocabulary
from tests.conftest import PROJECT
from tests.finetune.web.test_folder import page, url  # noqa: F401 (fixtures)

README = (PROJECT / "finetune" / "README.md").read_text(encoding="utf-8")
(FILE,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
SECTION = README.split("## From your own words to a page")[1].split("\n## ")[0]
COMMANDS = re.findall(r"```bash\n(.*?)```", SECTION, flags=re.DOTALL)[0].splitlines()
OURS = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("spoken-digits")]
PAGE = Path("runs/own-page")
WORDS = ("yes", "no", "stop", "go")
SPOKEN_PEAK, PAUSE_S = 0.4, 0.8
#: A word that was lost on the way to the recorder is said again after so long.
PATIENCE_S = 30

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.needs_pulse,
    pytest.mark.skipif(missing_tool() is not None, reason=str(missing_tool())),
]


def start(words: list[str], folder: Path, **options) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-m", "inference.commands", *words]
    environment["PYTHONPATH"] = str(PROJECT)
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **options)


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[np.ndarray]]]:
    """Speaker -> word -> clips of a synthetic voice."""
    from finetune.corpus import synthetic
    from inference.files import cache_folder

    folder = tmp_path_factory.mktemp("voices")
    (folder / "words.yaml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv(VARIABLE, "")
        use_vocabulary(folder / "words.yaml")
        synthetic.load_synthetic(seed=5, num_voices=2, num_takes=10)
        (made,) = cache_folder().iterdir()
    spoken: dict[str, dict[str, list[np.ndarray]]] = {}
    for path in list_audio(made).files:
        label, voice, _ = path.stem.rsplit("_", 2)
        clip = decode_audio(path)
        spoken.setdefault(voice, {}).setdefault(label, []).append(SPOKEN_PEAK / np.abs(clip).max() * clip)
    return dict(zip(("anna", "ben"), spoken.values(), strict=True))


def record(
    words: list[str], folder: Path, clips: dict[str, list[np.ndarray]], microphone: PulseServer
) -> None:
    """Says what the recorder asks for, until it has ended."""
    pause = np.zeros(SAMPLING_RATE // 3, np.float32)
    turns = {word: cycle(said) for word, said in clips.items()}
    lines: queue.Queue[str] = queue.Queue()
    process = start(words, folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.stdout
    assert output is not None
    threading.Thread(target=lambda: [lines.put(line) for line in chain(output, [""])], daemon=True).start()
    word = ""
    try:
        while True:
            try:
                line = lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                line = f"say: {word}"
            if not line:
                break
            if asked := re.search(r"say: (\w+)", line):
                word = asked[1]
                microphone.play(to_int16(np.concatenate([pause, next(turns[word]), pause])))
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def folder(
    takes: dict[str, dict[str, list[np.ndarray]]],
    onnxruntime_web: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of the page, after all commands but the last."""
    work = tmp_path_factory.mktemp("walk")
    (work / "words.yaml").write_text(FILE)
    microphone = PulseServer(tmp_path_factory.mktemp("pulse"))
    with pytest.MonkeyPatch.context() as patch, microphone:
        for name, value in microphone.environment.items():
            patch.setenv(name, value)
        for words in OURS[:2]:
            speaker = words[words.index("--speaker") + 1]
            record([*words, "--detector", "energy"], work, takes[speaker], microphone)
    for words in OURS[2:]:
        more = ["--onnxruntime-web", str(onnxruntime_web)] if words[0] == "export" else []
        process = start([*words, *more], work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate()
        assert process.returncode == 0, said[-3000:]
        print(f"$ {shlex.join(words)}\n{said}")
    return work / PAGE


@pytest.fixture(scope="module")
def spoken(takes: dict[str, dict[str, list[np.ndarray]]]) -> np.ndarray:
    """Test takes of one speaker in a quiet room, and a longer pause before they start again."""
    pause = np.zeros(round(PAUSE_S * SAMPLING_RATE), np.float32)
    clips = [takes["anna"][word][0] for word in WORDS]
    waveform = np.concatenate([*(part for clip in clips for part in (pause, clip)), *[pause] * 3])
    return waveform + 1e-4 * np.random.default_rng(0).standard_normal(waveform.size).astype(np.float32)


def test_from_own_words_to_a_page_in_ten_commands(page: Page, folder: Path) -> None:  # noqa: F811
    assert len(COMMANDS) <= 10
    work = folder.parents[1]
    names = {path.name for path in (work / "recordings").iterdir()}
    assert names == {
        f"{word}_{who}_{take}.wav" for word in WORDS for who in ("anna", "ben") for take in range(10)
    }
    assert (work / "runs/own-corpus/clips.csv").is_file()
    summary = json.loads((work / "runs/own-bench/summary.json").read_text())
    assert {row["backend"] for row in summary["tables"]["main"]["rows"]} == {"mfcc", "speech-embedding"}
    page.click("#toggle")
    said = """words => [...document.querySelectorAll("#words li span:first-child")]
        .map(item => item.textContent).reverse().join(" ").includes(words)"""
    # The file repeats: a starved browser may lose a block of one round, hardly of every one.
    page.wait_for_function(said, arg=" ".join(WORDS), timeout=300_000)
    page.screenshot(path=work / "page.png")
    page.click("#toggle")
