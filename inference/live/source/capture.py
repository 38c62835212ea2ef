"""The capture child: a process that holds the sound library, and nothing else.

When an audio server dies, PortAudio can spin for ever, flood stderr and never return from
``close``. That cannot be mended inside the process, so the microphone is opened in a child that
the parent can kill. This module imports nothing heavy, and nothing of it runs in the parent except
the definitions of the messages.
"""

import collections
import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from inference.live.source.devices import InputDevice, MicrophoneError, choose_device

#: The reply to an idle sound server's first wake-up takes up to two seconds.
FIRST_BLOCK_SECONDS = 3.0
#: Half of the detector's frame: a frame is complete when a block is, and no sooner for smaller ones.
BLOCK_MS = 16
BACKLOG_SECONDS = 10
#: Blocks are handed over together when one completes such a stretch, the detector's frame: what comes
#: between decides nothing, and waking two processes for each block is most of what listening costs.
HAND_OVER_MS = 32


@dataclass(frozen=True)
class CaptureRequest:
    """What the parent asks for.

    Attributes:
        device: Index or part of a name, None for the default.
        rates: Sampling rates in Hz to try, in order; the device's default is tried after the first.
    """

    device: str | None
    rates: tuple[int, ...]


@dataclass(frozen=True)
class Opened:
    """Audio flows: sent before the first block."""

    name: str
    sampling_rate: int
    channels: int


@dataclass(frozen=True)
class RawBlock:
    """The audio of one callback, or of several in a row.

    Attributes:
        first_sample: Position of its first sample, counted from the opening of the device.
        samples: Interleaved 16-bit samples.
        time: ``time.perf_counter()`` in the last callback, one clock for all processes.
        lag: Seconds by then since the last sample was at the microphone, as the device reports it.
        overflowed: Whether the sound system dropped audio before this block.
    """

    first_sample: int
    samples: bytes
    time: float
    lag: float
    overflowed: bool


@dataclass(frozen=True)
class Failed:
    """The device could not be opened, or ended by itself."""

    message: str


def send_devices(connection: Connection) -> None:
    """Child's main function: sends the list of input devices, or why there is none."""
    _leave_terminal_alone()
    with _failures_told(connection):
        connection.send(list_devices(_import_sounddevice()))


def send_audio(connection: Connection, request: CaptureRequest) -> None:
    """Child's main function: opens the microphone and sends blocks until it ends or is killed."""
    _leave_terminal_alone()
    with _failures_told(connection):
        sounddevice = _import_sounddevice()
        device = choose_device(list_devices(sounddevice), request.device)
        tap, opened = _open(sounddevice, device, request.rates)
        try:
            connection.send(opened)
            for block in tap.blocks():
                connection.send(block)
            connection.send(Failed(f"{device.name} stopped"))
        except OSError:
            # The parent is gone; closing the device could hang.
            os._exit(1)


def play_audio(connection: Connection, samples: bytes, sampling_rate: int) -> None:
    """Child's main function: plays 16-bit mono samples to their end, or says why it cannot."""
    _leave_terminal_alone()
    with _failures_told(connection):
        sounddevice = _import_sounddevice()
        with sounddevice.RawOutputStream(samplerate=sampling_rate, channels=1, dtype="int16") as stream:
            stream.write(samples)


@contextlib.contextmanager
def _failures_told(connection: Connection) -> Iterator[None]:
    """Sends the parent what went wrong, whatever it is: nobody reads this process's stderr."""
    try:
        yield
    except MicrophoneError as error:
        connection.send(Failed(str(error)))
    except Exception as error:
        connection.send(Failed(f"the sound library failed with {type(error).__name__}: {error}"))


def list_devices(sounddevice: Any) -> list[InputDevice]:
    """Input devices of the given ``sounddevice`` module, refreshed by the child's fresh start.

    One whose name is no UTF-8 is left out: the library cannot describe it, and so not open it.
    """
    default = sounddevice.default.device[0]
    devices = []
    for api in sounddevice.query_hostapis():
        for index in api["devices"]:
            with contextlib.suppress(UnicodeDecodeError):
                row = sounddevice.query_devices(index)
                device = InputDevice(
                    index=index,
                    name=row["name"],
                    host_api=api["name"],
                    channels=row["max_input_channels"],
                    sampling_rate=round(row["default_samplerate"]),
                    is_default=index == default,
                )
                devices += [device] if device.channels else []
    return sorted(devices, key=lambda device: device.index)


class Tap:
    """The audio callback and the queue behind it; the oldest audio is overwritten when it is full."""

    def __init__(self, sampling_rate: int, channels: int):
        self._bytes_per_sample = 2 * channels
        self._sampling_rate = sampling_rate
        self._hand_over = sampling_rate * HAND_OVER_MS // 1000
        self._pending: collections.deque[RawBlock] = collections.deque(
            maxlen=BACKLOG_SECONDS * 1000 // BLOCK_MS
        )
        self._count = 0
        #: A stream lives as long as something refers to it.
        self.stream: Any = None
        self.ended = False
        self.arrived = threading.Event()

    def __call__(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """Copies a block; called by PortAudio's thread, so it must not wait, print or compute."""
        now = time.perf_counter()
        duration = frames / self._sampling_rate
        lag = times.currentTime - times.inputBufferAdcTime
        # Some hosts report no time of recording, or one of another clock.
        lag = lag - duration if duration <= lag < 1.0 else 0.0
        self._pending.append(RawBlock(self._count, bytes(data), now, lag, bool(status.input_overflow)))
        handed_over = self._count // self._hand_over
        self._count += frames
        if self._count // self._hand_over != handed_over:
            self.arrived.set()

    def finish(self) -> None:
        """Called by PortAudio's thread when the stream ended by itself."""
        self.ended = True
        self.arrived.set()

    def blocks(self) -> Iterator[RawBlock]:
        """The audio of each ``HAND_OVER_MS`` as it comes, until the stream or the parent process ends."""
        parent = multiprocessing.parent_process()
        goes_on = True
        while goes_on:
            self.arrived.wait(0.5)
            self.arrived.clear()
            goes_on = not self.ended and (parent is None or parent.is_alive())
            taken = []
            while self._pending:
                taken.append(self._pending.popleft())
            if taken:
                # Nothing is overwritten between the first and the last taken: the queue was not full then.
                samples = b"".join(block.samples for block in taken)
                overflowed = any(block.overflowed for block in taken)
                last = taken[-1]
                yield RawBlock(taken[0].first_sample, samples, last.time, last.lag, overflowed)


def _open(sounddevice: Any, device: InputDevice, rates: tuple[int, ...]) -> tuple[Tap, Opened]:
    """Tries rates and channel numbers until one really delivers a block."""
    wanted = list(dict.fromkeys((rates[0], device.sampling_rate, *rates[1:])))
    problem = "it delivered no audio"
    for sampling_rate in wanted:
        for channels in dict.fromkeys((1, min(2, device.channels))):
            tap = Tap(sampling_rate, channels)
            try:
                stream = sounddevice.RawInputStream(
                    device=device.index,
                    samplerate=sampling_rate,
                    channels=channels,
                    dtype="int16",
                    blocksize=sampling_rate * BLOCK_MS // 1000,
                    callback=tap,
                    finished_callback=tap.finish,
                )
                stream.start()
            except (sounddevice.PortAudioError, ValueError) as error:
                problem = str(error)
                continue
            if tap.arrived.wait(FIRST_BLOCK_SECONDS) and not tap.ended:
                tap.stream = stream
                return tap, Opened(device.name, sampling_rate, channels)
            stream.abort()
            stream.close()
    raise MicrophoneError(
        f"the microphone {device.name} could not be opened at any of {wanted} Hz: {problem}. "
        "Check that no other program holds it, or choose another: python -m inference.live --list-devices"
    )


def _import_sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise MicrophoneError(
            "the package sounddevice is not installed. Install it: pip install sounddevice"
        ) from error
    except OSError as error:
        raise MicrophoneError(
            "the PortAudio library was not found. Install it: 'sudo apt-get install libportaudio2' on "
            "Debian or Ubuntu, 'brew install portaudio' on macOS."
        ) from error


def _leave_terminal_alone() -> None:
    """Ctrl-C is the parent's business, and the sound library's chatter on stderr is nobody's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
