"""One backend inside its worker: imported, loaded, timed, measured."""

import gc
import importlib
import importlib.util
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.worker.disk_size import OpenedFiles, checkpoint_files, runtime_packages
from benchmarks.worker.waveform_file import read_waveform
from inference.audio import SAMPLING_RATE
from inference.backends.base import Backend
from inference.backends.table import BACKENDS, BackendSpec, backend_class, load_backend
from inference.prediction import Prediction
from inference.stage_timer import collect_stages
from inference.vocabulary import vocabulary

Reply = dict[str, Any]

#: Lengths of audio for which the multiply-accumulates are counted: FSDD's median clip, and a second.
COUNTED_SECONDS = (0.42, 1.0)


class ServedBackend:
    """A backend and what is asked of it.

    Args:
        spec: Its entry of the table of backends, as a dictionary. The parent's entry counts, so that a
            backend from outside is measured like any other.
    """

    def __init__(self, spec: Reply):
        self._spec = BackendSpec(**spec)
        BACKENDS[self._spec.name] = self._spec
        self._opened = OpenedFiles()
        self._backend: Backend | None = None
        if importlib.util.find_spec(self._spec.package) is not None:
            importlib.import_module(self._spec.package)
            backend_class(self._spec)

    def load(self, checkpoint: str, threads: int, options: dict[str, str]) -> Reply:
        """Loads the checkpoint."""
        start = time.perf_counter()
        self._backend = load_backend(self._spec.name, checkpoint, threads=threads, options=options)
        elapsed = time.perf_counter() - start
        # What loading left behind is no business of the first predictions.
        gc.collect()
        gc.freeze()
        return {
            "load_seconds": elapsed,
            "zero_shot": self._backend.zero_shot,
            "device": self._backend.device,
        }

    def predict(self, store: str, clips: list[tuple[int, int]]) -> Reply:
        """Answers a batch of stored clips, each given by its first sample and number of samples."""
        backend = self._loaded
        waveforms = [read_waveform(Path(store), *place) for place in clips]
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        with collect_stages() as stages_ns:
            cpu_start, start = time.process_time_ns(), time.perf_counter_ns()
            predictions = backend.predict(waveforms)
            elapsed_ns, cpu_ns = time.perf_counter_ns() - start, time.process_time_ns() - cpu_start
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches
        if len(predictions) != len(clips):
            raise ValueError(f"{len(predictions)} predictions for {len(clips)} waveforms")
        return {
            "predictions": [self._describe(prediction) for prediction in predictions],
            "t_ns": {"e2e": elapsed_ns, "cpu": cpu_ns, **stages_ns},
            "involuntary_switches": switches,
        }

    def size(self) -> Reply:
        """What must be shipped and what was really used of it."""
        backend = self._loaded
        opened = checkpoint_files(backend.checkpoint_files, self._opened.paths)
        packages = runtime_packages(sys.modules)
        counts = {
            f"{seconds:g}": backend.multiply_accumulates(round(seconds * SAMPLING_RATE))
            for seconds in COUNTED_SECONDS
        }
        return {
            "parameters": backend.num_parameters,
            "multiply_accumulates": None if None in counts.values() else counts,
            "checkpoint_bytes": backend.checkpoint_bytes,
            "opened_bytes": sum(opened.values()),
            "opened_files": sorted(opened),
            "runtime_bytes": sum(packages.values()),
            "runtime_packages": packages,
        }

    def work(self, num_samples: int) -> Reply:
        """What one waveform of that length costs at least, None where it is not known."""
        backend = self._loaded
        return {
            "parameters": backend.num_parameters,
            "multiply_accumulates": backend.multiply_accumulates(num_samples),
            "arithmetic": backend.arithmetic,
        }

    @property
    def _loaded(self) -> Backend:
        assert self._backend is not None, "asked before load"
        return self._backend

    def _describe(self, prediction: Prediction) -> Reply:
        check_prediction(prediction)
        answer = self._loaded.operating_point.decide(prediction)
        return {
            "label": prediction.label,
            "score": prediction.score,
            "probabilities": prediction.probabilities,
            "none_probability": prediction.none_probability,
            "hypothesis": prediction.hypothesis,
            "reason": prediction.reason,
            # A recogniser that understood no label was not refused one.
            "refused": None if prediction.label is None else answer.reason,
        }


def check_prediction(prediction: Prediction) -> None:
    """Checks that a prediction keeps the contract.

    Raises:
        ValueError: If it does not; no figure can rest on such an answer.
    """
    labels = vocabulary().labels
    if prediction.label is not None and prediction.label not in labels:
        raise ValueError(f"the label {prediction.label!r} is not in the vocabulary {list(labels)}")
    probabilities = prediction.probabilities
    if probabilities is not None and len(probabilities) != len(labels):
        raise ValueError(f"{len(probabilities)} probabilities for {len(labels)} labels")
    single = (prediction.score, prediction.none_probability)
    numbers = (*(probabilities or ()), *(value for value in single if value is not None))
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a score or probability is NaN or infinite")
