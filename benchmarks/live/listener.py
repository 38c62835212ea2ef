"""The live command as a process: its records as they come, and the processor time it takes."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.errors import UserError

READY_SECONDS = 90.0


class Listener:
    """``python -m inference.live --jsonl`` on the default microphone.

    Args:
        environment: Variables in which it differs from this process.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]):
        self.records: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._started = time.perf_counter()
        #: Seconds from the start of the process to its first word.
        self.ready_seconds = 0.0
        # A file: nobody reads along, and a pipe would be full one day.
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as this)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inference.live", "--jsonl", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=os.environ | dict(environment),
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._changed:
                self.records.append(json.loads(line))
                if self.records[-1]["type"] == "ready":
                    self.ready_seconds = time.perf_counter() - self._started
                self._changed.notify_all()

    def wait_until_ready(self) -> None:
        """Returns once audio flows.

        Raises:
            UserError: If it ends before, with what it said.
        """
        deadline = time.perf_counter() + READY_SECONDS
        with self._changed:
            while not self.records and time.perf_counter() < deadline and self._process.poll() is None:
                self._changed.wait(0.1)
        if not self.records:
            self._process.kill()
            self._stderr.seek(0)
            raise UserError(f"the live command did not start: {self._stderr.read().strip()}")

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time so far of the engine's process and of the capture child, from Linux's /proc."""
        ticks = os.sysconf("SC_CLK_TCK")
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {
            name: sum(_ticks(process) for process in processes) / ticks
            for name, processes in (("engine", [str(pid)]), ("capture", children))
        }

    def stop(self) -> dict[str, Any]:
        """Ends it as Ctrl-C would, which a process in the background may ignore; returns the summary."""
        self._process.terminate()
        self._process.wait(10)
        with self._changed:
            self._changed.wait_for(lambda: bool(self.records) and self.records[-1]["type"] == "summary", 5)
        return self.records[-1]

    def kill(self) -> None:
        """Ends it whatever it does; may be called again."""
        self._process.kill()
        self._process.wait()


def _ticks(process: str) -> int:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
