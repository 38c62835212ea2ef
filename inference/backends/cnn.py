"""Small networks on the log-mel window of a word, run by ONNX Runtime without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from inference.backends.base import Backend
from inference.backends.multiply_accumulates import count_log_mel, count_network
from inference.checkpoint import (
    OPERATING_POINT_FILE,
    read_crop_contract,
    read_labels,
    read_operating_point,
    require_files,
)
from inference.crop import CropContract, prepare
from inference.errors import CheckpointError
from inference.features import WindowSettings, log_mel_window
from inference.files import read_json
from inference.prediction import Prediction, prediction_from_probabilities, softmax
from inference.stage_timer import stage
from inference.vocabulary import vocabulary

MODEL_NAME = "model.onnx"
CHECKPOINT_FILES = (MODEL_NAME, "labels.json", "features.json", "crop.json")
_MADE_BY = "python -m finetune.fit_baseline --model mfcc-cnn (or logmel-dscnn, speech-embedding)"


class CnnBackend(Backend):
    """Runs a network of ``python -m finetune.fit_baseline``: mfcc-cnn, logmel-dscnn or speech-embedding."""

    def __init__(
        self, session: onnxruntime.InferenceSession, settings: WindowSettings, contract: CropContract
    ):
        self._session = session
        self._settings = settings
        self.crop_contract = contract
        stored = session.get_modelmeta().custom_metadata_map.get("num_parameters")
        self.num_parameters = int(stored) if stored else None

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "CnnBackend":
        """Loads a folder with network, labels, feature settings and crop contract.

        Raises:
            CheckpointError: If a file is missing, damaged or does not belong to the others.
        """
        folder = Path(checkpoint)
        require_files(folder, CHECKPOINT_FILES, _MADE_BY)
        read_labels(folder)
        try:
            settings = WindowSettings(**read_json(folder / "features.json"))
        except TypeError as error:
            raise CheckpointError(f"{folder / 'features.json'} holds no window settings: {error}") from error
        session = _open(folder / MODEL_NAME, threads)
        _, _, num_frames, n_mels = session.get_inputs()[0].shape
        if (num_frames, n_mels) != (settings.num_frames, settings.n_mels):
            raise CheckpointError(
                f"{folder}: features.json gives windows of {settings.num_frames} x {settings.n_mels}, the "
                f"network expects {num_frames} x {n_mels}; the files belong to different models."
            )
        num_labels = session.get_outputs()[0].shape[1]
        if num_labels != len(read_json(folder / "labels.json")):
            raise CheckpointError(f"{folder}: the network has {num_labels} classes, labels.json has others.")
        backend = cls(session, settings, read_crop_contract(folder))
        backend.operating_point = read_operating_point(folder)
        names = (*CHECKPOINT_FILES, OPERATING_POINT_FILE)
        backend.checkpoint_files = tuple(folder / name for name in names if (folder / name).is_file())
        return backend

    def multiply_accumulates(self, num_samples: int) -> int | None:
        """See ``Backend.multiply_accumulates``; the window is as long for every waveform."""
        counted = count_network(next(path for path in self.checkpoint_files if path.name == MODEL_NAME))
        return None if counted is None else count_log_mel(num_samples, self._settings.n_mels) + counted

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``Backend.predict``."""
        if not waveforms:
            return []
        with stage("features"):
            windows = [
                log_mel_window(prepare(waveform, self.crop_contract), self._settings)
                for waveform in waveforms
            ]
            batch = np.stack(windows)[:, None]
        with stage("model"):
            (logits,) = self._session.run(None, {self._session.get_inputs()[0].name: batch})
        with stage("post"):
            rows = softmax(logits / self.operating_point.temperature)
            return [prediction_from_probabilities(row) for row in rows]


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no narrower class
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read as an ONNX model: {reason}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or len(outputs) != 1 or len(outputs[0].shape) != 2:
        raise CheckpointError(
            f"{path} is not a network of log-mel windows over the {len(vocabulary().labels)} labels. "
            f"Make one: {_MADE_BY}"
        )
    return session
