"""A stand-in for the sounddevice package, found first on ``sys.path`` by the capture child.

The folder named by ``FAKE_SOUND`` holds ``plan.json``: a list with one behaviour per opening of the
microphone, of which the last one repeats. Samples count up, so that a test can see what is lost.
"""

import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

folder = Path(os.environ["FAKE_SOUND"])
plan = json.loads((folder / "plan.json").read_text())
if plan[0].get("library_missing"):
    raise OSError("PortAudio library not found")
openings = len(list(folder.glob("opening-*")))
(folder / f"opening-{openings}").touch()
behaviour = plan[min(openings, len(plan) - 1)]


class PortAudioError(Exception):
    pass


default = SimpleNamespace(device=(1, 0))


def rows():
    def row(name, channels, rate):
        return {"name": name, "max_input_channels": channels, "default_samplerate": float(rate)}

    if behaviour.get("no_devices"):
        return [row("Speaker", 0, 44_100)]
    return [row("Speaker", 0, 44_100), row("Desk microphone", 2, 44_100), row("Desk webcam", 1, 48_000)]


def query_hostapis():
    if behaviour.get("broken"):
        raise RuntimeError(behaviour["broken"])
    return [{"name": "Fake API", "devices": list(range(len(rows())))}]


def query_devices(index):
    if index == behaviour.get("undecodable"):
        b"Mikrofon B\xfcro".decode()
    return rows()[index]


class RawInputStream:
    def __init__(self, device, samplerate, channels, dtype, blocksize, callback, finished_callback):
        if samplerate in behaviour.get("refused_rates", []) or channels < behaviour.get("least_channels", 1):
            raise PortAudioError("Invalid sample rate or channel count")
        assert dtype == "int16"
        self.rate, self.channels, self.block = samplerate, channels, blocksize
        self.callback, self.finished = callback, finished_callback
        self.thread = threading.Thread(target=self.play, daemon=True)

    def start(self):
        self.thread.start()

    def play(self):
        time.sleep(behaviour.get("first_block_after", 0.0))
        started, index = time.perf_counter(), 0
        while behaviour.get("blocks") is None or index < behaviour["blocks"]:
            first = index * self.block
            mono = (np.arange(first, first + self.block) % 30_000).astype(np.int16)
            # Channels whose average is the mono value: a correct mix-down gives the counter back.
            data = np.stack([mono + 2 * c - (self.channels - 1) for c in range(self.channels)], axis=1)
            if behaviour.get("inverted"):
                data = np.stack([mono, -mono], axis=1)
            index += 1
            time.sleep(max(0.0, started + index * self.block / self.rate - time.perf_counter()))
            times = SimpleNamespace(currentTime=5.0, inputBufferAdcTime=5.0 - self.block / self.rate)
            status = SimpleNamespace(input_overflow=index == behaviour.get("overflow_at"))
            self.callback(memoryview(data.astype(np.int16).tobytes()), self.block, times, status)
        if behaviour.get("then") == "finish":
            self.finished()

    def abort(self):
        time.sleep(3600)

    close = abort


class RawOutputStream:
    def __init__(self, samplerate, channels, dtype):
        if behaviour.get("no_output"):
            raise PortAudioError("Error querying device -1")
        assert (samplerate, channels, dtype) == (16_000, 1, "int16")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def write(self, samples):
        (folder / "playing").write_bytes(samples)
        (folder / "playing").replace(folder / "played")
