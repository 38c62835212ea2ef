"""The parent's side of the microphone: starts the capture child, watches it and replaces it."""

import itertools
import multiprocessing
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from inference.audio import SAMPLING_RATE, Downmix
from inference.live.engine.timing import SampleClock
from inference.live.source.capture import CaptureRequest, Failed, Opened, RawBlock, send_audio, send_devices
from inference.live.source.devices import InputDevice, MicrophoneError
from inference.live.source.items import REST_SECONDS, Block, Item, Loss, Opening, Source, Waiting

RATES = (SAMPLING_RATE, 48_000, 44_100, 32_000, 8_000)
OPEN_SECONDS = 10.0
#: While there is no audio, whoever listens gets the word this often.
WAITING_SECONDS = 0.1
STALL_SECONDS = 1.0
RETRY_SECONDS = (0.5, 1.0)


class Microphone(Source):
    """An endless source of audio that survives its device.

    Args:
        device: Index or part of a name, None for the default.
    """

    def __init__(self, device: str | None = None):
        self._request = CaptureRequest(device, RATES)
        self._may_rest = False

    def rest(self) -> None:
        """Lets the audio of a moment gather, unless some is waiting already."""
        self._may_rest = True

    def stream(self) -> Generator[Item, None, None]:
        """Yields audio for ever; closing the iterator kills the child.

        Raises:
            MicrophoneError: If the device cannot be opened at the start.
        """
        child = Child(send_audio, self._request)
        try:
            opened = _expect_opening(child)
            while True:
                yield Opening(opened.name, opened.sampling_rate)
                yield from self._blocks(child, opened)
                child.kill()
                for delay in itertools.chain(RETRY_SECONDS, itertools.repeat(RETRY_SECONDS[-1])):
                    yield from _wait(delay)
                    child = Child(send_audio, self._request)
                    message = yield from _first_message(child)
                    if isinstance(message, Opened):
                        opened = message
                        break
                    child.kill()
        finally:
            child.kill()

    def _blocks(self, child: "Child", opened: Opened) -> Iterator[Block | Loss]:
        """Blocks of one opening, ended by a ``Loss``."""
        clock = SampleClock(opened.sampling_rate)
        downmix = Downmix(opened.name)
        expected = 0
        while True:
            if self._may_rest and not child.has_spoken:
                time.sleep(REST_SECONDS)
            self._may_rest = False
            raw: RawBlock | Failed | None = child.receive(STALL_SECONDS)
            if not isinstance(raw, RawBlock):
                yield Loss(raw.message if raw else f"{opened.name} delivers no audio")
                return
            waveform = _mono(raw.samples, opened.channels, downmix)
            end = raw.first_sample + waveform.size
            clock.observe(end, raw.time, raw.lag)
            yield Block(
                waveform,
                captured_at=clock.time_of(end),
                delivered_at=raw.time,
                missing=raw.first_sample - expected,
                overflowed=raw.overflowed,
            )
            expected = end


def list_devices() -> list[InputDevice]:
    """Input devices, asked for in a child because the sound library may hang or chatter.

    Raises:
        MicrophoneError: If the sound library is missing or does not answer.
    """
    child = Child(send_devices)
    try:
        answer = child.receive(OPEN_SECONDS)
    finally:
        child.kill()
    if isinstance(answer, list):
        return answer
    raise MicrophoneError(
        answer.message if isinstance(answer, Failed) else "the sound system did not answer."
    )


class Child:
    """A process that sends messages and can always be got rid of.

    Args:
        main: Its main function; gets the sending end of a pipe, then ``arguments``.
        arguments: Anything that can be pickled.
    """

    def __init__(self, main: Callable[..., None], *arguments: Any):
        context = multiprocessing.get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=main, args=(sender, *arguments), daemon=True)
        self._process.start()
        sender.close()

    def receive(self, timeout: float) -> Any:
        """The next message, or None if none comes in time or the process ended."""
        try:
            return self._receiver.recv() if self._receiver.poll(timeout) else None
        except (EOFError, OSError):
            return None

    @property
    def has_spoken(self) -> bool:
        """Whether ``receive`` would return at once."""
        try:
            return self._receiver.poll()
        except OSError:
            return True

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """Ends the process at once, whatever it is doing; may be called again."""
        self._process.kill()
        self._process.join()
        self._receiver.close()


def _expect_opening(child: Child) -> Opened:
    message = child.receive(OPEN_SECONDS)
    if isinstance(message, Opened):
        return message
    if isinstance(message, Failed):
        raise MicrophoneError(message.message)
    raise MicrophoneError("the microphone did not answer; is it blocked or held by another program?")


def _wait(seconds: float) -> Iterator[Waiting]:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        time.sleep(WAITING_SECONDS)
        yield Waiting()


def _first_message(child: Child) -> Generator[Waiting, None, Any]:
    """Returns what a child says first, None if it says nothing in time."""
    until = time.perf_counter() + OPEN_SECONDS
    while time.perf_counter() < until and child.is_alive:
        message = child.receive(WAITING_SECONDS)
        if message is not None:
            return message
        yield Waiting()
    return child.receive(0.0)


def _mono(samples: bytes, channels: int, downmix: Downmix) -> np.ndarray:
    """16-bit interleaved samples -> float32 in [-1, 1], still exact in 16 bits so a recording is lossless."""
    values = np.frombuffer(samples, np.int16).reshape(-1, channels).T.astype(np.float32)
    return np.rint(downmix(values)) / np.float32(32768.0)
