"""The command: what it refuses in a sentence, and a real walk through a virtual microphone."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.live.virtual_microphone import missing_tool
from inference.app.page import EXAMPLES
from inference.audio import SAMPLING_RATE, decode_audio
from inference.live.source.recording import to_int16
from inference.record.__main__ import main
from inference.record.prompts import missing_prompts
from inference.vocabulary import VARIABLE, use_vocabulary
from tests.conftest import PROJECT
from tests.inference.live.conftest import fake_sound  # noqa: F401 (a fixture)
from tests.inference.live.output.test_keyboard import Terminal
from tests.inference.live.source.test_pulse import server  # noqa: F401 (a fixture)

PROGRAM = "import runpy\nrunpy.run_module('inference.record', run_name='__main__')"
SPOKEN = {"3": "three", "5": "five", "9": "nine"}


@pytest.mark.parametrize(
    ("name", "likely"), [("an_na", "an-na"), ("a/b", "a-b"), ("Jürgen", "jurgen"), ("", "anna")]
)
def test_a_speaker_that_is_no_part_of_a_file_name(name: str, likely: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--speaker", name])
    assert ended.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "lower-case letters, digits and '-'" in error
    assert error.endswith(f"as in {likely}")


def test_a_vocabulary_of_one_word(tmp_path: Path, capsys) -> None:
    (tmp_path / "words.yaml").write_text("labels:\n  stop: [stop]\n")
    assert main(["--vocabulary", str(tmp_path / "words.yaml"), "--speaker", "anna"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "needs two labels or more, received 1" in error


@pytest.mark.parametrize("non_words", ["kept", "kept/others", "."])
def test_words_and_non_words_lie_apart(non_words: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--speaker", "anna", "--out", "kept", "--non-words", non_words]) == 2
    assert "name two folders side by side" in capsys.readouterr().err


def test_no_microphone_exits_with_3(fake_sound, tmp_path: Path, capsys) -> None:  # noqa: F811
    fake_sound({"no_devices": True})
    assert main(["--speaker", "anna", "--out", str(tmp_path / "kept")]) == 3
    (error,) = capsys.readouterr().err.splitlines()
    assert "no microphone was found" in error


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    assert main(["--speaker", "anna", "--out", str(tmp_path / "file")]) == 2
    assert "--out" in capsys.readouterr().err


def test_when_all_is_there_it_says_what_comes_next(tmp_path: Path, capsys) -> None:
    for prompt in missing_prompts("anna", 2, tmp_path):
        prompt.path.touch()
    assert main(["--speaker", "anna", "--takes", "2", "--out", str(tmp_path)]) == 0
    assert f"Next: spoken-digits fit --dataset {tmp_path}" in capsys.readouterr().out


def test_without_a_terminal_there_are_plain_lines(fake_sound, tmp_path: Path) -> None:  # noqa: F811
    fake_sound({"blocks": 20})
    command = [sys.executable, "-c", PROGRAM, "--speaker", "anna", "--out", tmp_path, "--detector", "energy"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert "listening to Desk microphone at 16000 Hz (energy detector)" in process.stdout.readline()
        assert re.fullmatch(r"\[1 of 100\] say: \w+\n", process.stdout.readline())
        process.terminate()
        assert "100 to go: the same command goes on there" in process.stdout.read()
    assert process.returncode == 130


@pytest.fixture
def words(tmp_path: Path, monkeypatch) -> Path:
    """A vocabulary of three digits, of which there are recordings."""
    monkeypatch.setenv(VARIABLE, "")
    path = tmp_path / "words.yaml"
    path.write_text("labels:\n" + "".join(f"  '{label}': [{word}]\n" for label, word in SPOKEN.items()))
    use_vocabulary(path)
    return path


@pytest.mark.needs_pulse
@pytest.mark.skipif(missing_tool() is not None, reason=str(missing_tool()))
def test_a_walk_with_a_refusal_a_replay_and_a_second_session(
    server,  # noqa: F811
    words: Path,
    tmp_path: Path,
) -> None:
    kept, others = tmp_path / "kept", tmp_path / "others"
    options = [
        "--vocabulary",
        words,
        "--speaker",
        "anna",
        "--takes",
        "1",
        "--out",
        kept,
        "--non-words",
        others,
    ]
    room, *prompts = missing_prompts("anna", 1, kept, others)
    silence = np.zeros(SAMPLING_RATE, np.float32)

    def say_until(pattern: str, *names: str) -> None:
        """Speaks; and once more where it came too early or was lost on the way, as a busy machine may do."""
        for _ in range(10):
            say(*names)
            with contextlib.suppress(AssertionError):
                return terminal.wait_for(pattern, 30)
        raise AssertionError(f"{pattern} not in {terminal.output!r}")

    def say(*names: str) -> None:
        clips = [decode_audio(EXAMPLES / f"{name}.flac") for name in names]
        pause = silence[: SAMPLING_RATE // 4]
        server.play(
            to_int16(np.concatenate([pause, *(part for clip in clips for part in (clip, pause)), silence]))
        )

    terminal = Terminal(*map(str, options), program=PROGRAM)
    try:
        terminal.wait_for(r"\[1 of 5\] be quiet", 60)
        terminal.wait_for(f"kept {room.path.name}", 60)
        first, second = (SPOKEN[prompt.path.name[0]] for prompt in prompts[:2])
        terminal.wait_for(rf"\[2 of 5\] say: {first}", 60)
        say_until("once more: doubled", first, second)
        say_until(f"kept {prompts[0].path.name}", first)
        terminal.press("p")
        terminal.wait_for(f"playing {prompts[0].path.name}", 60)
        terminal.output = ""
        terminal.wait_for(rf"\[3 of 5\] say: {second}", 60)
        say_until(f"kept {prompts[1].path.name}", second)
        terminal.press("q")
        assert terminal.end() == 0
        assert "3 takes kept, 2 to go: the same command goes on there" in terminal.output
        assert terminal.is_restored
    finally:
        terminal.process.kill()
        terminal.process.wait()
    assert sorted(path.name for path in kept.iterdir()) == sorted(p.path.name for p in prompts[:2])
    assert [prompt.path for prompt in missing_prompts("anna", 1, kept, others)] == [
        p.path for p in prompts[2:]
    ]
