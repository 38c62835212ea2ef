"""Single keys from the terminal, without waiting, and the commands they stand for."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import Any

#: Of the two, a system has one: Windows the second.
termios: ModuleType | None
msvcrt: ModuleType | None
try:
    import termios
except ImportError:
    termios = None
try:
    import msvcrt
except ImportError:
    msvcrt = None

#: On Windows the first half of a key that is no character, such as an arrow.
WINDOWS_PREFIXES = ("\0", "\xe0")

#: A terminal tells of no key's release. A held key repeats: after a long delay, then quickly.
FIRST_REPEAT_SECONDS = 0.7
REPEAT_SECONDS = 0.3
KEYS_HELP = "space talk, Enter take a window, t pause or listen, r record, u undo, c clear, q quit"


class Command(Enum):
    """What a key asks a session to do."""

    LISTEN = "listen"
    PAUSE = "pause"
    TOGGLE = "toggle"
    CAPTURE = "capture"
    RECORD = "record"
    UNDO = "undo"
    CLEAR = "clear"
    QUIT = "quit"


KEYS = {
    "\n": Command.CAPTURE,
    "\r": Command.CAPTURE,
    "t": Command.TOGGLE,
    "r": Command.RECORD,
    "u": Command.UNDO,
    "c": Command.CLEAR,
    "q": Command.QUIT,
}


class Keyboard:
    """Reads keys as they are pressed; a context manager that leaves the terminal as it was.

    It does nothing where standard input is no terminal, or belongs to another job of the shell.
    """

    def __init__(self) -> None:
        self._saved: list[Any] | None = None
        self._is_entered = False

    @staticmethod
    def is_available() -> bool:
        """Whether there are keys to be read."""
        try:
            if not os.isatty(sys.stdin.fileno()):
                return False
            if msvcrt is not None:
                return True
            return termios is not None and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        except (OSError, ValueError, AttributeError):  # closed, or replaced by another object
            return False

    def __enter__(self) -> "Keyboard":
        self._is_entered = self.is_available()
        if self._is_entered and termios is not None:
            self._saved = termios.tcgetattr(sys.stdin.fileno())
            settings = list(self._saved)
            # Keys arrive one by one and are not echoed; Ctrl-C remains a signal.
            settings[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, settings)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._saved is not None and termios is not None:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._saved)
            self._saved = None

    def pressed(self) -> str:
        """The keys pressed since the last call."""
        if msvcrt is not None:
            return self._pressed_on_windows(msvcrt) if self._is_entered else ""
        keys = b""
        while self._saved is not None and select.select([sys.stdin], [], [], 0)[0]:
            more = os.read(sys.stdin.fileno(), 64)
            if not more:
                self._saved = None
            keys += more
        return keys.decode(errors="ignore")

    @staticmethod
    def _pressed_on_windows(console: Any) -> str:
        keys = ""
        while console.kbhit():
            key = console.getwch()
            if key == "\x03":
                raise KeyboardInterrupt
            if key in WINDOWS_PREFIXES:
                console.getwch()
            else:
                keys += key
        return keys


class Commands:
    """Turns keys into commands.

    Args:
        pressed: Gives the keys pressed since it was last called.
        push_to_talk: Whether the space bar opens the microphone while it is held.
        clock: In seconds.
    """

    def __init__(
        self,
        pressed: Callable[[], str],
        push_to_talk: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._pressed = pressed
        self._push_to_talk = push_to_talk
        self._clock = clock
        self._release_at: float | None = None

    def poll(self) -> list[Command]:
        """The commands since the last call, in order."""
        commands = []
        for key in self._pressed():
            if key == " " and self._push_to_talk:
                if self._release_at is None:
                    commands.append(Command.LISTEN)
                hold = FIRST_REPEAT_SECONDS if self._release_at is None else REPEAT_SECONDS
                self._release_at = max(self._release_at or 0.0, self._clock() + hold)
            elif key in KEYS:
                commands.append(KEYS[key])
        if self._release_at is not None and self._clock() >= self._release_at:
            self._release_at = None
            commands.append(Command.PAUSE)
        return commands
