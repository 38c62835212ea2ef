"""End to end through a virtual microphone: words in order, and both ways of losing a sound server."""

import json
import queue
import signal
import threading
import time

import numpy as np
import pytest

from benchmarks.live.virtual_microphone import PulseServer, missing_tool
from inference.live.source.recording import to_int16
from tests.inference.live.test_main import start

pytestmark = [
    pytest.mark.needs_pulse,
    pytest.mark.skipif(missing_tool() is not None, reason=str(missing_tool())),
]


class LiveProcess:
    """``python -m inference.live --jsonl`` with its records at hand as they come."""

    def __init__(self, *arguments: str):
        self.process = start("--jsonl", "--detector", "energy", *arguments)
        self._records: queue.Queue[dict] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._records.put(json.loads(line))

    def wait_for(self, kind: str, timeout: float = 60.0) -> dict:
        deadline = time.monotonic() + timeout
        while True:
            record = self._records.get(timeout=max(0.0, deadline - time.monotonic()))
            if record["type"] == kind:
                return record

    def interrupt(self) -> str:
        """Ctrl-C; returns what was written to stderr."""
        self.process.send_signal(signal.SIGINT)
        error = self.process.stderr.read()
        assert self.process.wait(timeout=300) == 130
        return error

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = PulseServer(tmp_path)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def live(server):
    live = LiveProcess()
    yield live
    live.close()


def bursts(number: int) -> bytes:
    rng = np.random.default_rng(0)
    gate = np.tile(np.concatenate([np.zeros(9600), np.ones(6400)]), number)
    return to_int16(np.pad(0.2 * gate * rng.uniform(-1, 1, gate.size), (0, 8000)))


def test_words_arrive_once_each_with_a_latency_that_adds_up(server, live):
    assert live.wait_for("ready")["source"] == "default"
    server.play(bursts(3))
    digits = [live.wait_for("digit") for _ in range(3)]
    assert [record["id"] for record in digits] == [1, 2, 3]
    # Words of 0.4 s every second, heard through the server's resampler.
    assert np.allclose(np.diff([record["start"] for record in digits]), 16_000, atol=800)
    assert all(4800 < record["end"] - record["start"] < 8000 for record in digits)
    error = live.interrupt()
    summary = live.wait_for("summary")
    assert (summary["digits"], summary["lost_samples"]) == (3, 0)
    for record in digits:
        stages = sum(ms for stage, ms in record["latency_ms"].items() if stage != "total")
        assert stages == pytest.approx(record["latency_ms"]["total"], abs=2.0)
    assert "Traceback" not in error


def test_an_unplugged_microphone_is_reported_and_comes_back(server, live):
    live.wait_for("ready")
    server.pactl("unload-module", "module-null-sink")
    live.wait_for("lost")
    server.load_sink()
    live.wait_for("recovered")
    server.play(bursts(1))
    assert live.wait_for("digit")["id"] == 1
    live.interrupt()


def test_a_killed_sound_server_neither_hangs_nor_floods(server, live):
    live.wait_for("ready")
    server.kill()
    live.wait_for("lost")
    time.sleep(1.5)
    server.start()
    live.wait_for("recovered")
    server.play(bursts(1))
    assert live.wait_for("digit")["id"] == 1
    assert len(live.interrupt().splitlines()) <= 20
