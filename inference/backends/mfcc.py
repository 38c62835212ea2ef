"""MFCC statistics and a support vector machine: four megabytes, about a millisecond per clip."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from inference.backends.base import DigitBackend, Prediction, prediction_from_probabilities
from inference.checkpoint import read_crop_contract, read_json, read_labels, require_files
from inference.crop import prepare
from inference.errors import CheckpointError
from inference.features import FeatureSettings, mfcc_statistics, num_statistics

CHECKPOINT_FILES = ("model.onnx", "labels.json", "features.json", "crop.json")


class MfccBackend(DigitBackend):
    """Runs a model fitted by ``python -m finetune.fit_baseline`` with ONNX Runtime."""

    def __init__(self, session: onnxruntime.InferenceSession, folder: Path):
        self._session = session
        self._settings = FeatureSettings(**read_json(folder / "features.json"))
        self._input_name = session.get_inputs()[0].name
        self.crop_contract = read_crop_contract(folder)
        self.checkpoint_files = tuple(folder / name for name in CHECKPOINT_FILES)
        metadata = session.get_modelmeta().custom_metadata_map
        self.num_parameters = int(metadata["num_parameters"]) if "num_parameters" in metadata else None

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "MfccBackend":
        """Loads a folder with ``model.onnx``, labels, feature settings and crop contract."""
        folder = Path(checkpoint)
        require_files(folder, CHECKPOINT_FILES, "python -m finetune.fit_baseline --model mfcc-svm")
        read_labels(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # A waiting pool must not spin: other backends may be measured beside this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = onnxruntime.InferenceSession(folder / "model.onnx", options, ["CPUExecutionProvider"])
            backend = cls(session, folder)
        except (
            RuntimeError,
            TypeError,
            onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
        ) as error:
            raise CheckpointError(f"{folder / 'model.onnx'} cannot be loaded: {error}") from error
        width, expected = session.get_inputs()[0].shape[1], num_statistics(backend._settings)
        if width != expected:
            raise CheckpointError(
                f"{folder}: features.json gives {expected} statistics per clip, model.onnx expects {width}; "
                "the files belong to different models."
            )
        return backend

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``DigitBackend.predict``."""
        if not waveforms:
            return []
        features = np.stack(
            [mfcc_statistics(prepare(waveform, self.crop_contract), self._settings) for waveform in waveforms]
        )
        (probabilities,) = self._session.run(["probabilities"], {self._input_name: features})
        return [prediction_from_probabilities(row) for row in probabilities]
