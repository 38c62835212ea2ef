"""The plain library calls, as the documentation of each library shows them, behind the same interface.

They are written to be what a careful user types first: the right checkpoint, the right number of
threads, and otherwise the defaults. They answer like any backend, so that one harness times both.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from safetensors.numpy import load_file

from benchmarks.worker.resident_memory import reset_peak
from inference.audio import SAMPLING_RATE
from inference.backends.base import Backend
from inference.backends.mfcc import KernelClassifier
from inference.backends.transcripts import match_transcript
from inference.checkpoint import read_crop_contract, read_operating_point
from inference.crop import prepare
from inference.features import segment_weights, squeeze
from inference.files import read_json
from inference.prediction import Prediction, prediction_from_probabilities
from inference.vocabulary import vocabulary

#: C of the machine, which our checkpoint does not hold; fitted to support vectors alone it hardly matters.
_REGULARISATION = 10.0


class PlainWhisper(Backend):
    """``faster_whisper.WhisperModel.transcribe`` at its defaults: beam of 5, language detected, 30 s."""

    #: What the call is told.
    arguments: ClassVar[dict[str, Any]] = {}

    def __init__(self, model: Any):
        self._model = model

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> Self:
        """Loads a CTranslate2 folder with the weight type of our backend."""
        from faster_whisper import WhisperModel

        return cls(WhisperModel(checkpoint, device="cpu", compute_type="int8", cpu_threads=threads))

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """One call per clip; the text is mapped to a digit as ours is."""
        predictions = []
        for waveform in waveforms:
            segments, _ = self._model.transcribe(waveform, **self.arguments)
            text = "".join(segment.text for segment in segments).strip()
            match = match_transcript(text)
            predictions.append(Prediction(match.label, hypothesis=text, reason=match.reason))
        return predictions


class PlainWhisperGreedy(PlainWhisper):
    """The same call told what a single English word needs."""

    arguments: ClassVar[dict[str, Any]] = {
        "language": "en",
        "beam_size": 1,
        "temperature": 0.0,
        "without_timestamps": True,
        "max_new_tokens": 8,
    }


class PlainWav2Vec2(Backend):
    """``transformers.pipeline("audio-classification")``, which takes a list clip by clip."""

    #: Clips that the pipeline puts into one tensor; its default.
    batch_size = 1

    def __init__(self, pipeline: Any):
        self._pipeline = pipeline

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> Self:
        """Loads a checkpoint folder."""
        import torch
        from transformers import pipeline

        torch.set_num_threads(threads)
        return cls(pipeline("audio-classification", model=checkpoint, device="cpu"))

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """One call for the list; the pipeline takes it clip by clip unless told otherwise."""
        columns = self._pipeline.model.config.label2id
        answers = self._pipeline(list(waveforms), top_k=len(columns), batch_size=self.batch_size)
        rows = np.zeros((len(waveforms), len(columns)))
        for row, answer in zip(rows, answers, strict=True):
            for entry in answer:
                row[columns[entry["label"]]] = entry["score"]
        return [prediction_from_probabilities(row) for row in rows]


class PlainWav2Vec2Batched(PlainWav2Vec2):
    """The same told to batch: clips are padded to the longest.

    Encoders with a group norm take no mask, and each answer then depends on the other clips.
    """

    batch_size = 32


class PlainMfcc(Backend):
    """The features of ``inference.features`` through librosa, the machine in a scikit-learn pipeline.

    Librosa's silence trimming takes the place of ours, as its threshold is the nearest thing that the
    library has. What our checkpoint stores is a fitted ``SVC``, multiplied out with what makes
    probabilities of its margins. scikit-learn has no such form, so here is the machine itself, and
    probabilities as its documentation has them since ``SVC(probability=True)`` is deprecated.
    """

    def __init__(self, folder: Path):
        self._settings = read_json(folder / "features.json")
        self._contract = read_crop_contract(folder)
        self._pipeline = self._make_pipeline(load_file(folder / "model.safetensors"))

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> Self:
        """Loads a folder of our MFCC backend."""
        from threadpoolctl import threadpool_limits

        backend = cls(Path(checkpoint))
        threadpool_limits(limits=threads, user_api="blas")
        reset_peak()  # a user loads a pipeline, and needs no memory for fitting it
        return backend

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Features clip by clip, then the pipeline for all."""
        rows = self._pipeline.predict_proba(self._matrix(waveforms))
        return [prediction_from_probabilities(row) for row in rows]

    def _make_pipeline(self, arrays: dict[str, np.ndarray]) -> Any:
        """The pipeline of a user who has fitted it to the clips that our checkpoint was fitted to.

        A support vector machine is nearly the same when it is fitted to its support vectors alone. The
        probabilities are not those of ours: they are calibrated on these vectors.
        """
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline

        vectors = arrays["support_vectors"]
        components = PCA(vectors.shape[1])
        components.mean_, components.components_ = arrays["mean"], arrays["projection"].T
        statistics = arrays["mean"] + vectors @ np.linalg.pinv(arrays["projection"])
        probabilities = KernelClassifier(**arrays).probabilities(statistics)
        machine = self._machine(float(arrays["gamma"]))
        return make_pipeline(components, machine.fit(vectors, probabilities.argmax(axis=1)))

    def _machine(self, gamma: float) -> Any:
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.svm import SVC

        return CalibratedClassifierCV(SVC(C=_REGULARISATION, gamma=gamma), ensemble=False)

    def _matrix(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([self._statistics(prepare(clip, self._contract)) for clip in waveforms])

    def _statistics(self, waveform: np.ndarray) -> np.ndarray:
        import librosa

        settings = self._settings
        log_mel = _log_mel(waveform, settings)
        level = log_mel.mean(axis=0, keepdims=True)
        coefficients = librosa.feature.mfcc(S=log_mel, n_mfcc=settings["n_mfcc"] + 1)[1:]
        static = np.vstack([level - level.max(), coefficients])
        frames = np.vstack([static, librosa.feature.delta(static, width=5, mode="nearest")]).T
        segments = segment_weights(len(frames), settings["num_segments"]) @ frames
        parts = [frames.mean(axis=0), frames.std(axis=0), frames.min(axis=0), frames.max(axis=0)]
        return np.concatenate([*parts, segments.ravel(), [np.log(len(frames))]])


class PlainMfccLabels(PlainMfcc):
    """The same without probabilities, the fastest that scikit-learn has: ``SVC.predict``."""

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Features clip by clip, then the pipeline for all."""
        labels = vocabulary().labels
        ids = self._pipeline.predict(self._matrix(waveforms))
        return [Prediction(labels[label_id] if label_id < len(labels) else None) for label_id in ids]

    def _machine(self, gamma: float) -> Any:
        from sklearn.svm import SVC

        return SVC(C=_REGULARISATION, gamma=gamma)


class PlainCnn(Backend):
    """The window of ``inference.features`` through librosa, the network in ONNX Runtime."""

    def __init__(self, folder: Path, session: Any):
        self._settings = read_json(folder / "features.json")
        self._contract = read_crop_contract(folder)
        self._temperature = read_operating_point(folder).temperature
        self._session = session

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> Self:
        """Loads a folder of our log-mel network."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        folder = Path(checkpoint)
        return cls(folder, onnxruntime.InferenceSession(folder / "model.onnx", options))

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Features clip by clip, then the network for all."""
        from scipy.special import softmax

        batch = np.stack([self._window(prepare(clip, self._contract)) for clip in waveforms])
        (logits,) = self._session.run(None, {self._session.get_inputs()[0].name: batch[:, None]})
        return [prediction_from_probabilities(row) for row in softmax(logits / self._temperature, axis=1)]

    def _window(self, waveform: np.ndarray) -> np.ndarray:
        settings = self._settings
        bands = squeeze(_log_mel(waveform, settings).T, settings["num_frames"])
        missing = settings["num_frames"] - len(bands)
        lowest = bands.max() - settings["floor_db"] * np.log(10.0) / 10.0
        window = np.pad(bands, ((missing // 2, missing - missing // 2), (0, 0)), constant_values=lowest)
        return ((window - window.mean()) / window.std()).astype(np.float32)


def _log_mel(waveform: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """Natural logarithm of mel energies, ``(n_mels, num_frames)``."""
    import librosa

    if settings["trim"]:
        waveform, _ = librosa.effects.trim(waveform, top_db=30, frame_length=400, hop_length=160)
    mel = librosa.feature.melspectrogram(
        y=librosa.effects.preemphasis(waveform, coef=0.97),
        sr=SAMPLING_RATE,
        n_fft=512,
        win_length=400,
        hop_length=160,
        window=_povey_window(),
        n_mels=settings["n_mels"],
        fmin=settings["low_hz"],
        fmax=settings["high_hz"],
        htk=True,
        norm=None,
    )
    # librosa counts in decibels of power, our features in natural logarithms.
    return librosa.power_to_db(mel, top_db=settings["floor_db"]) * np.log(10.0) / 10.0


@functools.cache
def _povey_window() -> np.ndarray:
    """Kaldi's window, which librosa does not have by name."""
    return np.hanning(400) ** 0.85
