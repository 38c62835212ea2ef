"""A backend in a process of its own, seen from the parent: requests out, answers or a failure back.

The parent blocks in ``select`` while the backend works. A parent that polled instead would take
the backend's processor time and, on few cores, multiply its latency.
"""

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.clip_store import StoredClip
from benchmarks.protocol import Candidate, Settings

CLOSE_TIMEOUT_S = 5.0


class BackendFailure(Exception):
    """A backend gave no answer: it refused, raised, crashed or hung.

    Args:
        kind: ``refused`` (the reason says what to do), ``error``, ``crash`` or ``timeout``.
        reason: What happened, for the table.
    """

    def __init__(self, kind: str, reason: str):
        super().__init__(_one_line(reason))
        self.kind = kind


class BackendUnavailable(Exception):
    """A backend cannot run here: something is missing.

    Args:
        reason: What is missing.
        fix: The command that would mend it.
    """

    def __init__(self, reason: str, fix: str):
        super().__init__(_one_line(reason))
        self.fix = _one_line(fix)


class BackendProcess:
    """Starts the worker of a backend; as a context manager it also ends it.

    Args:
        candidate: The backend and its checkpoint.
        settings: Threads and time limits.
        clips_path: The file of stored clips.
        offline: Whether the Hugging Face libraries must do with what is cached.
    """

    def __init__(self, candidate: Candidate, settings: Settings, clips_path: Path, offline: bool = False):
        self._candidate = candidate
        self._settings = settings
        self._clips_path = clips_path
        self._pending = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=worker_environment(settings.threads, offline),
            # A Ctrl-C in the terminal is for the parent, which then ends the worker.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=0.0 if exc_type else CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
        self._process.stdout.close()
        self._stderr.close()

    def load(self) -> dict[str, Any]:
        """Loads the backend: ``load_seconds``, ``parameters``, ``checkpoint_bytes``, ``zero_shot``.

        Raises:
            BackendUnavailable: If a package or weights are missing.
            BackendFailure: If it cannot be loaded for another reason, or not in time.
        """
        return self._ask(
            {
                "do": "load",
                "spec": dataclasses.asdict(self._candidate.spec),
                "checkpoint": self._candidate.checkpoint,
                "threads": self._settings.threads,
            },
            self._settings.load_timeout_s,
            "while loading",
        )

    def predict(self, clip: StoredClip) -> dict[str, Any]:
        """One prediction: the fields of ``Prediction``, ``elapsed_ns`` and ``cpu_ns``.

        Raises:
            BackendFailure: If it raises, answers against its contract, crashes or takes too long.
        """
        return self._ask(
            {
                "do": "predict",
                "clips": str(self._clips_path),
                "first_sample": clip.first_sample,
                "num_samples": clip.num_samples,
            },
            self._settings.clip_timeout_s,
            f"on clip {clip.clip_id}",
        )

    def peak_rss_bytes(self) -> int | None:
        """Peak resident memory of the process so far, in bytes; None where the system hides it."""
        peak: int | None = self._ask(
            {"do": "memory"}, self._settings.clip_timeout_s, "when asked for its memory"
        )["peak_rss_bytes"]
        return peak

    def _ask(self, request: dict[str, Any], timeout_s: float, occasion: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # The missing answer tells more than the pipe does.
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._read_line(timeout_s, occasion))
        if "unavailable" in answer:
            raise BackendUnavailable(answer["unavailable"], answer["fix"])
        if "refused" in answer:
            raise BackendFailure("refused", answer["refused"])
        if "error" in answer:
            raise BackendFailure("error", f"failed {occasion}: {answer['error']}")
        return answer

    def _read_line(self, timeout_s: float, occasion: str) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            if not select.select([descriptor], [], [], timeout_s)[0]:
                self._kill()
                raise BackendFailure("timeout", f"gave no answer within {timeout_s:g} s {occasion}")
            received = os.read(descriptor, 65536)
            if not received:
                raise BackendFailure("crash", f"crashed {occasion} ({self._last_words()})")
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _last_words(self) -> str:
        code = self._process.wait(CLOSE_TIMEOUT_S)
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        ending = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{ending}; {lines[-1]}" if lines else ending

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _one_line(text: str) -> str:
    """A line break would end a row of a table."""
    return " ".join(text.split())


def worker_environment(threads: int, offline: bool) -> dict[str, str]:
    """The environment of a worker: a bounded number of threads that sleep instead of spinning."""
    environment = dict(os.environ)
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        environment[f"{name}_NUM_THREADS"] = str(threads)
    environment |= {
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "GOMP_SPINCOUNT": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    return environment
