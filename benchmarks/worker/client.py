"""A backend in a process of its own, seen from the parent: requests out, replies or a failure back.

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
import time
from types import TracebackType
from typing import Any, Self

from benchmarks.records.run_record import Settings
from benchmarks.run.entries import Entry
from benchmarks.worker.waveform_file import StoredClip

CLOSE_TIMEOUT_S = 5.0
#: Lines of standard error that are kept of a process that died.
LAST_WORDS = 12

#: Kinds of failure after which the process is gone.
DEADLY = ("crash", "timeout")

Reply = dict[str, Any]


class BackendFailure(Exception):
    """A backend gave no answer: it refused, raised, crashed, hung or ran out of memory.

    Args:
        kind: ``refused`` (the reason says what to do), ``error``, ``crash``, ``timeout`` or ``oom``.
        reason: What happened, for the table.
        traceback: The last lines that it wrote.
    """

    def __init__(self, kind: str, reason: str, traceback: str | None = None):
        super().__init__(_one_line(reason))
        self.kind = kind
        self.traceback = traceback

    @property
    def is_deadly(self) -> bool:
        """Whether the process is gone."""
        return self.kind in DEADLY


class BackendUnavailable(Exception):
    """A backend cannot run here: something is missing."""

    def __init__(self, reason: str, fix: str):
        super().__init__(_one_line(reason))
        self.fix = _one_line(fix)


class BackendProcess:
    """Starts the worker of a backend; as a context manager it also ends it.

    Args:
        checkpoint: What to load instead of the entry's own checkpoint, as for a fold.
        offline: Whether the Hugging Face libraries must do with what is cached.
    """

    def __init__(
        self, entry: Entry, settings: Settings, checkpoint: str | None = None, offline: bool = False
    ):
        self._entry = entry
        self._checkpoint = checkpoint or entry.checkpoint
        self._settings = settings
        self._pending = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        #: When the process was asked for, on the clock of ``time.monotonic_ns``.
        self.asked_for_ns = time.monotonic_ns()
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

    def start(self) -> Reply:
        """Waits until the interpreter is ready: ``started_ns``, ``at_ns``."""
        return self._ask({"do": "start"}, self._settings.load_timeout_s, "while starting")

    def import_libraries(self) -> Reply:
        """Imports the backend's module and the library that it stands on."""
        spec = dataclasses.asdict(self._entry.spec)
        return self._ask({"do": "import", "spec": spec}, self._settings.load_timeout_s, "while importing")

    def load(self) -> Reply:
        """Loads the checkpoint, after the libraries: ``load_seconds``, ``zero_shot``, ``device``.

        Raises:
            BackendUnavailable: If a package or weights are missing.
            BackendFailure: If it cannot be loaded for another reason, or not in time.
        """
        request = {
            "do": "load",
            "checkpoint": self._checkpoint,
            "threads": self._settings.threads,
            "options": dict(self._entry.options),
        }
        return self._ask(request, self._settings.load_timeout_s, "while loading")

    def open(self) -> Reply:
        """Imports and loads; ``load_seconds`` is the time of both."""
        start = time.perf_counter()
        self.import_libraries()
        return self.load() | {"load_seconds": time.perf_counter() - start}

    def predict(self, *clips: StoredClip) -> Reply:
        """Answers one batch: ``predictions``, ``t_ns``, ``involuntary_switches``.

        Raises:
            BackendFailure: If it raises, answers against its contract, crashes or takes too long.
        """
        return self._ask(
            {
                "do": "predict",
                "store": clips[0].store,
                "clips": [(clip.first_sample, clip.num_samples) for clip in clips],
            },
            self._settings.clip_timeout_s * len(clips),
            f"on clip {clips[0].clip_id}",
        )

    def memory(self) -> Reply:
        """``peak_rss_bytes`` and ``rss_bytes`` of the process and its children, None where hidden.

        The peak is set back to the present; ``reset`` is False where the system does not allow it.
        """
        return self._ask({"do": "memory"}, self._settings.clip_timeout_s, "when asked for its memory")

    def size(self) -> Reply:
        """Parameters, work and bytes, see ``footprint.jsonl``."""
        return self._ask({"do": "size"}, self._settings.load_timeout_s, "when asked for its size")

    def work(self, num_samples: int) -> Reply:
        """``parameters``, ``multiply_accumulates`` of one waveform of that length, and ``arithmetic``."""
        request = {"do": "work", "num_samples": num_samples}
        return self._ask(request, self._settings.clip_timeout_s, "when asked for its work")

    def _ask(self, request: Reply, timeout_s: float, occasion: str) -> Reply:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # The missing answer tells more than the pipe does.
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        reply: Reply = json.loads(self._read_line(timeout_s, occasion))
        if "unavailable" in reply:
            raise BackendUnavailable(reply["unavailable"], reply["fix"])
        if "refused" in reply:
            raise BackendFailure("refused", reply["refused"])
        if "error" in reply:
            raise BackendFailure(reply["kind"], f"failed {occasion}: {reply['error']}", reply["traceback"])
        return reply

    def _read_line(self, timeout_s: float, occasion: str) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            if not select.select([descriptor], [], [], timeout_s)[0]:
                self._kill()
                raise BackendFailure("timeout", f"gave no answer within {timeout_s:g} s {occasion}")
            received = os.read(descriptor, 65536)
            if not received:
                ending, words = self._last_words()
                last = f"; {words[-1]}" if words else ""
                raise BackendFailure(
                    "crash", f"crashed {occasion} ({ending}{last})", "\n".join(words) or None
                )
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _last_words(self) -> tuple[str, list[str]]:
        """How the process ended, and the last lines of its standard error."""
        code = self._process.wait(CLOSE_TIMEOUT_S)
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        ending = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            ending += ", as when memory runs out"
        return ending, lines[-LAST_WORDS:]

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _one_line(text: str) -> str:
    """A line break would end an entry of a table."""
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
