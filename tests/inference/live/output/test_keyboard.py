"""Keys: what they mean, and a terminal that is as it was afterwards, however the session ends."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

import inference.live.__main__ as live
from inference.live.output import keyboard
from inference.live.output.keyboard import FIRST_REPEAT_SECONDS, REPEAT_SECONDS, Command, Commands, Keyboard
from tests.conftest import PROJECT
from tests.inference.live.test_main import PROGRAM

TAKE_TERMINAL = "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"


class Hands:
    """Presses keys at times of its own."""

    def __init__(self, push_to_talk=True):
        self.time, self.keys = 0.0, ""
        self.commands = Commands(self._pressed, push_to_talk, clock=lambda: self.time)

    def _pressed(self):
        keys, self.keys = self.keys, ""
        return keys

    def at(self, seconds: float, keys: str = "") -> list[Command]:
        self.time, self.keys = seconds, keys
        return self.commands.poll()


def test_a_held_space_bar_listens_until_it_stops_repeating():
    hands = Hands()
    assert hands.at(0.0, " ") == [Command.LISTEN]
    assert hands.at(0.5) == []
    for step in range(20):
        assert hands.at(0.6 + 0.03 * step, "  ") == []
    last = 0.6 + 0.03 * 19
    assert hands.at(last + REPEAT_SECONDS - 0.01) == []
    assert hands.at(last + REPEAT_SECONDS) == [Command.PAUSE]
    assert hands.at(last + 5) == []


def test_a_tap_listens_for_as_long_as_a_repeat_may_take():
    hands = Hands()
    assert hands.at(0.0, " ") == [Command.LISTEN]
    assert hands.at(FIRST_REPEAT_SECONDS) == [Command.PAUSE]


def test_letters_are_commands_and_anything_else_is_nothing():
    hands = Hands(push_to_talk=False)
    assert hands.at(0.0, "turcq") == [
        Command.TOGGLE, Command.UNDO, Command.RECORD, Command.CLEAR, Command.QUIT,
    ]  # fmt: skip
    assert hands.at(0.0, " x\x1b[C") == []


class Terminal:
    """A command on a pseudo-terminal, as its controlling terminal and in the foreground."""

    def __init__(self, *arguments: str, program: str = PROGRAM, **environment: str):
        # The other side stays open here as well, so that output can be read after the end.
        self.main, self.side = pty.openpty()
        self.before = termios.tcgetattr(self.main)
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL + program, "--detector", "energy", *arguments],
            stdin=self.side, stdout=self.side, stderr=self.side, cwd=PROJECT, start_new_session=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100"} | environment,
        )  # fmt: skip
        self.output = ""

    def wait_for(self, pattern: str, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.output):
            assert time.monotonic() < deadline, f"{pattern} not in {self.output!r}"
            if select.select([self.main], [], [], 0.1)[0]:
                self.output += os.read(self.main, 65536).decode()

    def press(self, keys: str) -> None:
        os.write(self.main, keys.encode())

    def end(self) -> int:
        """Waits for the end; returns the exit code."""
        while self.process.poll() is None or select.select([self.main], [], [], 0)[0]:
            if select.select([self.main], [], [], 0.05)[0]:
                self.output += os.read(self.main, 65536).decode()
        return self.process.returncode

    @property
    def is_restored(self) -> bool:
        """Whether modes are as before and the cursor is visible."""
        cursor = self.output.rfind("\x1b[?25h") > self.output.rfind("\x1b[?25l")
        return termios.tcgetattr(self.main) == self.before and cursor


@pytest.fixture
def open_terminal(fake_sound, tmp_path, monkeypatch):
    fake_sound()
    opened: list[Terminal] = []

    def start(*arguments):
        opened.append(Terminal(*arguments))
        opened[-1].wait_for("LISTENING|PAUSED")
        assert not opened[-1].is_restored
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.main)
        os.close(terminal.side)


def test_keys_pause_record_and_quit(open_terminal, tmp_path):
    path = tmp_path / "kept.wav"
    terminal = open_terminal("--record", str(path))
    terminal.wait_for("keys: space talk")
    terminal.press("t")
    terminal.wait_for("PAUSED")
    terminal.press("r")
    terminal.wait_for("recording ended")
    terminal.press("r")
    terminal.wait_for("recording to .*kept-2.wav")
    terminal.press("cq")
    assert terminal.end() == 0
    assert terminal.is_restored
    assert path.stat().st_size > 44
    assert re.search(r"\d+ digits, \d+ rejects", terminal.output)


def test_push_to_talk_is_deaf_until_the_space_bar_is_pressed(open_terminal):
    terminal = open_terminal("--mode", "push-to-talk")
    terminal.wait_for("PAUSED")
    terminal.press(" ")
    terminal.wait_for("LISTENING")
    terminal.output = "\x1b[?25l"
    terminal.wait_for("PAUSED")
    terminal.press("q")
    assert terminal.end() == 0


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_signal_restores_the_terminal(open_terminal, stop, code):
    terminal = open_terminal()
    terminal.process.send_signal(stop)
    assert terminal.end() == code
    assert terminal.is_restored


def test_modes_with_keys_need_a_terminal_and_a_microphone(capsys, monkeypatch):
    for arguments, message in (
        (["--mode", "toggle"], "needs keys"),
        (["--mode", "push-to-talk", "--replay", "x.wav"], "is for a microphone"),
        (["--capture-ms", "1000"], "--capture-ms needs keys"),
        (["--capture-ms", "1000", "--mode", "toggle"], "leave out --mode and --string"),
    ):
        with pytest.raises(SystemExit) as ended:
            live.main(arguments)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


class FakeMsvcrt:
    """The console of Windows with keys waiting."""

    def __init__(self, keys: str):
        self.keys = list(keys)

    def kbhit(self) -> bool:
        return bool(self.keys)

    def getwch(self) -> str:
        return self.keys.pop(0)


def test_keys_of_windows(monkeypatch):
    monkeypatch.setattr(keyboard, "msvcrt", FakeMsvcrt("q\xe0Hé \0;t"))
    monkeypatch.setattr(keyboard, "termios", None)
    monkeypatch.setattr(keyboard.os, "isatty", lambda descriptor: True)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    assert Keyboard().pressed() == ""
    with Keyboard() as keys:
        assert keys.pressed() == "qé t"
        assert keys.pressed() == ""
        monkeypatch.setattr(keyboard, "msvcrt", FakeMsvcrt("q\x03"))
        with pytest.raises(KeyboardInterrupt):
            keys.pressed()


def test_enter_takes_a_window_whatever_is_in_it(open_terminal):
    terminal = open_terminal("--capture-ms", "500")
    terminal.wait_for("PAUSED")
    terminal.press("\n")
    terminal.wait_for("SPEECH.*7 .* ms")
    terminal.press("q")
    assert terminal.end() == 0
    assert "1 digits, 0 rejects" in terminal.output
