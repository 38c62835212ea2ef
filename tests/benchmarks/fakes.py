"""Backends that behave well or badly in one known way; a worker imports them by path."""

import ctypes
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.run.entries import Entry
from inference.backends.base import Backend
from inference.backends.table import BackendSpec
from inference.errors import BackendUnavailableError, CheckpointError
from inference.prediction import Prediction
from inference.stage_timer import stage
from inference.vocabulary import DIGITS


def fake_spec(class_name: str, checkpoint: str = "none") -> BackendSpec:
    """The row of the table for a class of this file, named like the class in lower case."""
    return BackendSpec(
        name=class_name.lower(),
        import_path=f"tests.benchmarks.fakes:{class_name}",
        default_checkpoint=checkpoint,
        summary=f"fake: {class_name}",
        package="numpy",
    )


def entry_of(class_name: str) -> Entry:
    """A fake as a row of a run."""
    return Entry(class_name.lower(), fake_spec(class_name), "none")


def spoken_label(waveform: np.ndarray) -> str:
    """What ``tests.benchmarks.conftest`` writes into the level of a clip."""
    return DIGITS.labels[round(float(waveform[0]) * 100)]


class Perfect(Backend):
    """Always right."""

    num_parameters: int | None = 7

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Perfect":
        backend = cls()
        backend.checkpoint_files = (Path(__file__),)
        return backend

    def multiply_accumulates(self, num_samples: int) -> int | None:
        return num_samples

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        return [self.answer(waveform) for waveform in waveforms]

    def answer(self, waveform: np.ndarray) -> Prediction:
        return Prediction(label=spoken_label(waveform), score=1.0)


class Wary(Perfect):
    """Right and sure of words; takes what is louder than any of them for none."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        if waveform[0] > 0.1:
            return Prediction(label="3", score=0.3, none_probability=0.7)
        return Prediction(label=spoken_label(waveform), score=0.9, none_probability=0.05)


class Constant(Perfect):
    """Always "3"."""

    num_parameters = None

    def answer(self, waveform: np.ndarray) -> Prediction:
        return Prediction(label="3")


class Writer(Perfect):
    """A zero-shot recogniser that says "to" for "two" and mislabels its own text."""

    zero_shot = True

    def answer(self, waveform: np.ndarray) -> Prediction:
        label = spoken_label(waveform)
        text = "to" if label == "2" else DIGITS.spoken_forms[label][0]
        return Prediction(label="0", hypothesis=f" {text.capitalize()}.")


class Slow(Perfect):
    """20 ms a clip."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        time.sleep(0.02)
        return super().answer(waveform)


class Staged(Perfect):
    """Says where its time goes."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        with stage("features"):
            time.sleep(0.002)
        with stage("model"):
            time.sleep(0.003)
        return super().answer(waveform)


class Raises(Perfect):
    """Raises on every "4"."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        if spoken_label(waveform) == "4":
            raise RuntimeError("shape mismatch in layer 3")
        return super().answer(waveform)


class Crash(Perfect):
    """Dies of a segmentation fault on every "4"."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        if spoken_label(waveform) == "4":
            ctypes.string_at(0)
        return super().answer(waveform)


class LateCrash(Perfect):
    """Dies after 25 calls: that is enough for 25 clips, and not for many rounds after a warm-up."""

    CALLS = 25

    def answer(self, waveform: np.ndarray) -> Prediction:
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls > self.CALLS:
            os._exit(9)
        return super().answer(waveform)


class OutOfMemory(Perfect):
    """Asks for more memory than there is on every "4"."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        if spoken_label(waveform) == "4":
            np.empty(1 << 60, np.uint8)
        return super().answer(waveform)


class Hang(Perfect):
    """Never answers a "4"."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        if spoken_label(waveform) == "4":
            time.sleep(3600)
        return super().answer(waveform)


class NotANumber(Perfect):
    """A score that is NaN."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        return Prediction(label="3", score=float("nan"))


class OtherVocabulary(Perfect):
    """A label that is not in the vocabulary."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        return Prediction(label="yes")


class Chatty(Perfect):
    """Prints to standard output, from Python and below it, and reads standard input."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        print('{"label": "9"}')
        os.write(1, b'{"label": "9"}\n')
        assert os.read(0, 1) == b""
        return super().answer(waveform)


class Missing(Perfect):
    """Weights that cannot be had."""

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Missing":
        raise BackendUnavailableError("the weights are not here.", "Fetch them: fetch weights")


class Broken(Perfect):
    """A damaged checkpoint."""

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Broken":
        raise CheckpointError("model.onnx is damaged. Make it again: make model")


class Wordy(Perfect):
    """Raises with a message of several lines."""

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Wordy":
        raise RuntimeError("size mismatch:\n\tcopying a | b\r\n\tinto c")


class WordyMissing(Perfect):
    """Lacks something and takes several lines to say so."""

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "WordyMissing":
        raise BackendUnavailableError("no weights\nhere.", "Fetch them:\n  fetch weights")


class Offline(Perfect):
    """Answers right only if the worker was told to stay off the network."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        return super().answer(waveform) if os.environ.get("HF_HUB_OFFLINE") == "1" else Prediction(label=None)


class Heavy(Perfect):
    """Takes 200 MB for the longest clips of ``conftest`` and gives them back."""

    def answer(self, waveform: np.ndarray) -> Prediction:
        if waveform.size > 2320:
            np.ones(25_000_000).sum()
        return super().answer(waveform)
