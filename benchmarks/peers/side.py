"""One side of a comparison in a process of its own, so that its threads and its memory are its own."""

import contextlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.backend_process import worker_environment
from inference.errors import UserError

CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Answer:
    """What one call brought.

    Attributes:
        elapsed_ns: From waveforms in memory to the predictions.
        labels: One per waveform.
        probabilities: One tuple per waveform; None where undefined.
    """

    elapsed_ns: int
    labels: tuple[str | None, ...]
    probabilities: tuple[tuple[float, ...] | None, ...]


class Side:
    """A loaded backend or plain call; as a context manager it ends its process.

    Args:
        import_path: ``module:Class`` of a ``DigitBackend``.
        checkpoint: What it loads.
        threads: CPU threads of one call.
        options: Further arguments of its ``load``.

    Raises:
        UserError: If it cannot be loaded.
    """

    def __init__(
        self, import_path: str, checkpoint: str, threads: int, options: Mapping[str, str] | None = None
    ):
        context = multiprocessing.get_context("spawn")
        self._connection, far_end = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(far_end, import_path, checkpoint, threads, dict(options or {})), daemon=True
        )
        # Libraries read the number of threads when they are imported, before anything could be called.
        inherited = dict(os.environ)
        os.environ.update(worker_environment(threads, offline=True))
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(inherited)
        far_end.close()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def predict(self, waveforms: Sequence[np.ndarray]) -> Answer:
        """One timed call."""
        answer: Answer = self._ask("predict", list(waveforms))
        return answer

    def facts(self, num_samples: int) -> dict[str, Any]:
        """``peak_rss_bytes`` so far, ``num_parameters``, ``multiply_accumulates`` of one such clip."""
        facts: dict[str, Any] = self._ask("facts", num_samples)
        return facts

    def _ask(self, request: str, content: Any) -> Any:
        with contextlib.suppress(BrokenPipeError):  # the missing answer tells more than the pipe does
            self._connection.send((request, content))
        return self._receive()

    def _receive(self) -> Any:
        try:
            outcome, content = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(CLOSE_TIMEOUT_S)
            raise UserError(f"the process ended with exit code {self._process.exitcode}.") from None
        if outcome == "error":
            raise UserError(content)
        return content

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(CLOSE_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(
    connection: Connection, import_path: str, checkpoint: str, threads: int, options: dict[str, str]
) -> None:
    """The child: loads once, then answers until the parent is gone."""
    os.dup2(2, 1)  # libraries print; the table is the parent's
    try:
        backend = _load(import_path, checkpoint, threads, options)
        connection.send(("ready", None))
        while True:
            try:
                request, content = connection.recv()
            except (EOFError, ConnectionResetError):
                return
            if request == "predict":
                connection.send(("answer", _timed(backend, content)))
            else:
                connection.send(("facts", _facts(backend, content)))
    except UserError as error:
        connection.send(("error", str(error)))
    except Exception as error:  # a foreign library may raise anything; the parent says what
        traceback.print_exc()
        connection.send(("error", f"{import_path}: {type(error).__name__}: {error}"))


def _load(import_path: str, checkpoint: str, threads: int, options: dict[str, str]) -> Any:
    import gc
    import importlib

    module, _, name = import_path.partition(":")
    backend = getattr(importlib.import_module(module), name).load(checkpoint, threads=threads, **options)
    # What loading left behind is no business of the first predictions.
    gc.collect()
    gc.freeze()
    return backend


def _timed(backend: Any, waveforms: list[np.ndarray]) -> Answer:
    start = time.perf_counter_ns()
    predictions = backend.predict(waveforms)
    elapsed_ns = time.perf_counter_ns() - start
    return Answer(
        elapsed_ns,
        tuple(prediction.label for prediction in predictions),
        tuple(prediction.probabilities for prediction in predictions),
    )


def _facts(backend: Any, num_samples: int) -> dict[str, Any]:
    from benchmarks.process_memory import resident_bytes

    return {
        "peak_rss_bytes": resident_bytes()["peak_rss_bytes"],
        "num_parameters": backend.num_parameters,
        "multiply_accumulates": backend.multiply_accumulates(num_samples),
    }
