"""The child process of one backend: loads it and answers one clip at a time.

Requests and answers are JSON lines over standard input and output. Before a backend is imported
both streams are moved to private descriptors, because libraries print to standard output and may
read standard input. Nothing but the backend is imported, so that the memory of this process is the
memory of the backend. ``benchmarks.backend_process`` starts it and speaks with it.
"""

import gc
import json
import math
import os
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from benchmarks.clip_store import read_waveform
from inference.backends import BACKENDS, BackendSpec, load_backend
from inference.backends.base import DigitBackend, Prediction
from inference.errors import BackendUnavailableError, UserError
from inference.labels import LABELS

Message = dict[str, Any]


def main() -> int:
    """Answers requests until the parent closes the pipe."""
    requests, answers = _claim_standard_streams()
    worker = Worker()
    for line in requests:
        answers.write(json.dumps(worker.answer(json.loads(line))) + "\n")
        answers.flush()
    return 0


class Worker:
    """Holds the backend between two requests."""

    def __init__(self) -> None:
        self._backend: DigitBackend | None = None

    def answer(self, request: Message) -> Message:
        """Does what a request asks; whatever goes wrong becomes an answer, too."""
        try:
            match request.pop("do"):
                case "load":
                    return self._load(**request)
                case "predict":
                    return self._predict(**request)
                case _:
                    return {"peak_rss_bytes": peak_rss_bytes()}
        except BackendUnavailableError as error:
            return {"unavailable": error.reason, "fix": error.fix}
        except UserError as error:
            return {"refused": str(error)}
        except Exception as error:  # A foreign library may raise anything; it is reported, not hidden.
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {error}"}

    def _load(self, spec: Message, checkpoint: str, threads: int) -> Message:
        # The parent's row counts: so a backend outside the table can be measured like any other.
        BACKENDS[spec["name"]] = BackendSpec(**spec)
        start = time.perf_counter()
        self._backend = load_backend(spec["name"], checkpoint, threads=threads)
        load_seconds = time.perf_counter() - start
        # What loading left behind is no business of the first predictions.
        gc.collect()
        gc.freeze()
        return {
            "load_seconds": load_seconds,
            "parameters": self._backend.num_parameters,
            "checkpoint_bytes": self._backend.checkpoint_bytes,
            "zero_shot": self._backend.zero_shot,
        }

    def _predict(self, clips: str, first_sample: int, num_samples: int) -> Message:
        assert self._backend is not None, "predict before load"
        waveforms = [read_waveform(Path(clips), first_sample, num_samples)]
        cpu_start, start = time.process_time_ns(), time.perf_counter_ns()
        predictions = self._backend.predict(waveforms)
        elapsed_ns, cpu_ns = time.perf_counter_ns() - start, time.process_time_ns() - cpu_start
        prediction = check_prediction(predictions)
        return {
            "label": prediction.label,
            "score": prediction.score,
            "probabilities": prediction.probabilities,
            "hypothesis": prediction.hypothesis,
            "reason": prediction.reason,
            "elapsed_ns": elapsed_ns,
            "cpu_ns": cpu_ns,
        }


def check_prediction(predictions: list[Prediction]) -> Prediction:
    """The one prediction for one waveform.

    Raises:
        ValueError: If the backend broke its contract; no figure can rest on such an answer.
    """
    if len(predictions) != 1:
        raise ValueError(f"{len(predictions)} predictions for one waveform")
    prediction = predictions[0]
    if prediction.label is not None and prediction.label not in LABELS:
        raise ValueError(f"the label {prediction.label!r} is not in the vocabulary {list(LABELS)}")
    probabilities = prediction.probabilities
    if probabilities is not None and len(probabilities) != len(LABELS):
        raise ValueError(f"{len(probabilities)} probabilities for {len(LABELS)} labels")
    numbers = (*(probabilities or ()), *(() if prediction.score is None else (prediction.score,)))
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a score or probability is NaN or infinite")
    return prediction


def peak_rss_bytes() -> int | None:
    """Peak resident memory of this process since its program started, in bytes; None off Linux.

    ``VmHWM`` (proc(5)) belongs to the address space and starts anew with a program, unlike the
    ``ru_maxrss`` of getrusage(2), which a child inherits from a large parent.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) * 1024 if peaks else None


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
