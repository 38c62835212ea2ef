"""The child process of one backend: answers one request after another until its parent is done.

Requests and answers are JSON lines over standard input and output. Before anything else is imported
both streams are moved to private descriptors, because libraries print to standard output and may
read standard input. Nothing but the backend is imported, so that the memory of this process is the
memory of the backend. ``benchmarks.worker.client`` starts it and speaks with it.
"""

import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, TextIO

from benchmarks.worker.resident_memory import reset_peak, resident_bytes

if TYPE_CHECKING:
    from benchmarks.worker.backend import ServedBackend

Message = dict[str, Any]

#: How long a worker that the parent has left may take for the answer it is at; the parent's own patience.
FAREWELL_S = 5.0


def main() -> int:
    """Answers requests until the parent closes the pipe."""
    started_ns = time.monotonic_ns()
    requests, answers = _claim_standard_streams()
    threading.Thread(target=_end_with_parent, args=(requests.fileno(),), daemon=True).start()
    worker = Worker(started_ns)
    for line in requests:
        answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        answers.flush()
    return 0


class Worker:
    """Holds the backend between two requests.

    Args:
        started_ns: When the interpreter was ready, on the clock of ``time.monotonic_ns``.
    """

    def __init__(self, started_ns: int):
        self._started_ns = started_ns
        self._served: ServedBackend | None = None

    def answer(self, request: Message) -> Message:
        """Does what a request asks; whatever goes wrong becomes an answer, too."""
        try:
            answer = self._act(request.pop("do"), request)
        except Exception as error:  # A foreign library may raise anything; it is reported, not hidden.
            answer = _describe(error)
        return answer | {"at_ns": time.monotonic_ns()}

    def _act(self, action: str, request: Message) -> Message:
        match action:
            case "start":
                return {"started_ns": self._started_ns}
            case "memory":
                return resident_bytes() | {"reset": reset_peak()}
            case "import":
                # numpy and the audio border are part of every backend: they count as its imports.
                from benchmarks.worker.backend import ServedBackend

                self._served = ServedBackend(**request)
                return {}
        assert self._served is not None, f"{action} before import"
        match action:
            case "load":
                return self._served.load(**request)
            case "predict":
                return self._served.predict(**request)
            case "size":
                return self._served.size()
            case "work":
                return self._served.work(**request)
        raise ValueError(f"unknown request {action!r}")


def _describe(error: Exception) -> Message:
    """An exception as an answer: a known mistake with its remedy, or an error with its traceback."""
    from inference.errors import BackendUnavailableError, UserError

    if isinstance(error, BackendUnavailableError):
        return {"unavailable": error.reason, "fix": error.fix}
    if isinstance(error, UserError):
        return {"refused": str(error)}
    traceback.print_exc(file=sys.stderr)
    # torch.OutOfMemoryError and its relatives are no MemoryError.
    no_memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    return {
        "error": f"{type(error).__name__}: {error}",
        "kind": "oom" if no_memory else "error",
        "traceback": traceback.format_exception(error)[-1],
    }


def _end_with_parent(requests: int) -> None:
    """Ends this process and its children if the parent is gone, killed perhaps, in the middle of an answer.

    Between two answers the end of the requests does it; a backend that hangs would never come to read it.
    """
    hang_up = select.poll()
    hang_up.register(requests, 0)
    hang_up.poll()
    time.sleep(FAREWELL_S)
    os.killpg(0, signal.SIGKILL)


def _claim_standard_streams() -> tuple[TextIO, TextIO]:
    """Private copies of standard input and output; the public ones lead nowhere and to stderr."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    return requests, answers


if __name__ == "__main__":
    raise SystemExit(main())
