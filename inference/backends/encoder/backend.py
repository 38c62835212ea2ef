"""A fine-tuned audio classifier: Wav2Vec2 or kin, or Whisper's encoder, on the runtime for the machine."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.backends.base import Backend
from inference.backends.encoder.checkpoint import (
    EXPORT_FILE,
    SETTINGS_FILES,
    WEIGHTS_FILE,
    EncoderCheckpoint,
    read_encoder_checkpoint,
)
from inference.backends.encoder.input_values import padded, plan_batches
from inference.backends.encoder.runtime import EncoderRuntime
from inference.backends.encoder.select_runtime import RuntimeChoice, candidates, require_modules
from inference.backends.multiply_accumulates import count_wav2vec2, count_whisper_encoder
from inference.checkpoint import OPERATING_POINT_FILE, read_crop_contract, read_operating_point
from inference.crop import prepare
from inference.errors import BackendUnavailableError, UserError
from inference.files import read_json
from inference.prediction import Prediction, prediction_from_probabilities, softmax
from inference.stage_timer import stage
from inference.vocabulary import VOCABULARY_FILE
from inference.weights.hub import hub_cache_problem, hub_is_reachable, is_hub_id

_SHIPPED_FILES = (
    *SETTINGS_FILES,
    EXPORT_FILE,
    WEIGHTS_FILE,
    "model.onnx",
    "openvino_model.xml",
    "openvino_model.bin",
    "labels.json",
    "crop.json",
    OPERATING_POINT_FILE,
)
_ARITHMETIC = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
_logger = logging.getLogger(__name__)


class EncoderBackend(Backend):
    """Runs the classifier of a checkpoint folder or a Hub id.

    Args:
        checkpoint: The folder's settings.
        runtime: What computes.
        choice: Its name and precision.
    """

    def __init__(self, checkpoint: EncoderCheckpoint, runtime: EncoderRuntime, choice: RuntimeChoice):
        folder = checkpoint.folder
        self.choice = choice
        self.num_parameters = checkpoint.num_parameters
        self.checkpoint_files = tuple(folder / name for name in _SHIPPED_FILES if (folder / name).is_file())
        self.crop_contract = read_crop_contract(folder)
        self.operating_point = read_operating_point(folder)
        self.device = runtime.device
        self.arithmetic = _ARITHMETIC[choice.precision]
        self._config = read_json(folder / "config.json")
        self._runtime = runtime
        self._checkpoint = checkpoint

    @classmethod
    def load(
        cls, checkpoint: str, threads: int = 1, runtime: str = "auto", precision: str = "auto"
    ) -> "EncoderBackend":
        """Loads a folder written by ``finetune.train`` or ``finetune.export``, or a Hub id.

        Args:
            checkpoint: Folder or Hub id.
            threads: CPU threads of one prediction.
            runtime: ``openvino``, ``onnxruntime``, ``torch`` or ``auto``, see ``candidates``.
            precision: ``fp32``, ``bf16``, ``int8`` or ``auto``.
        """
        found = read_encoder_checkpoint(find_folder(checkpoint))
        if found.exported:
            choice = _exported_choice(found.exported, runtime, precision, checkpoint)
            folder = found.folder
        else:
            choice, folder = settle_runtime(found, runtime, precision)
        return cls(found, _load_runtime(found, folder, choice, threads), choice)

    def multiply_accumulates(self, num_samples: int) -> int | None:
        """See ``Backend.multiply_accumulates``; None for an encoder of another family."""
        if self._config.get("model_type") == "whisper":
            return count_whisper_encoder(self._config)
        if self._config.get("model_type") not in ("wav2vec2", "hubert", "wavlm"):
            return None
        least = self.crop_contract.min_ms * SAMPLING_RATE // 1000
        return count_wav2vec2(self._config, max(num_samples, least))

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``Backend.predict``; a batch gives the same answers as its clips alone."""
        if not waveforms:
            return []
        logits = self.logits(waveforms)
        with stage("post"):
            probabilities = softmax(logits / self.operating_point.temperature)
            return [prediction_from_probabilities(values) for values in probabilities]

    def logits(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """What the network says of at least one waveform: ``(len(waveforms), num_labels)``."""
        with stage("features"):
            prepared = (prepare(waveform, self.crop_contract) for waveform in waveforms)
            clips = [self._checkpoint.inputs(waveform) for waveform in prepared]
            lengths = np.array([clip.shape[-1] for clip in clips])
            batches = plan_batches(
                lengths.tolist(),
                self._runtime.max_batch,
                self._runtime.length_step,
                self._checkpoint.pads_exactly,
            )
        rows: list[int] = []
        found: list[np.ndarray] = []
        for batch in batches:
            with stage("features"):
                inputs = padded([clips[row] for row in batch.rows], batch.length)
            with stage("model"):
                found.append(self._runtime.logits(inputs, lengths[list(batch.rows)]))
            rows += batch.rows
        return np.concatenate(found)[np.argsort(rows)]


def _exported_choice(exported: RuntimeChoice, runtime: str, precision: str, checkpoint: str) -> RuntimeChoice:
    """What an exported folder was made for; anything else that is asked for cannot be had from it."""
    if runtime not in ("auto", exported.runtime) or precision not in ("auto", exported.precision):
        raise UserError(
            f"{checkpoint} was exported for {exported.runtime} in {exported.precision}; leave --runtime and "
            "--precision out, or name the checkpoint it was made from."
        )
    require_modules(exported, exported=True)
    return exported


def settle_runtime(found: EncoderCheckpoint, runtime: str, precision: str) -> tuple[RuntimeChoice, Path]:
    """What runs a checkpoint with the weights of torch, and the folder with the files for it.

    Raises:
        CheckpointError: If the weights are damaged, or what was asked for answers otherwise.
        OSError: If what was asked for cannot be kept.
    """
    choices = candidates(runtime, precision, found.num_parameters, found.converts_exactly)
    if choices[0].runtime == "torch":
        return choices[0], found.folder
    from inference.backends.encoder.trial import REFERENCE, prepared_folder

    try:
        return prepared_folder(found, choices)
    except OSError as error:
        if runtime != "auto":
            raise
        _logger.warning("%s could not be prepared for %s (%s): torch it is", found.folder, choices[0], error)
        return REFERENCE, found.folder


def _load_runtime(
    checkpoint: EncoderCheckpoint, folder: Path, choice: RuntimeChoice, threads: int
) -> EncoderRuntime:
    """Loads the one library that is needed; CheckpointError if the model is damaged."""
    if choice.runtime == "torch":
        from inference.backends.encoder.classifier import load_classifier
        from inference.backends.encoder.torch_runtime import TorchRuntime

        return TorchRuntime(load_classifier(checkpoint), choice.precision, threads)
    from inference.backends.encoder.conversion import load_converted

    return load_converted(folder, choice, threads, checkpoint.hidden_size)


def find_folder(checkpoint: str) -> Path:
    """The folder itself, or the cached copy of a Hub id.

    Raises:
        BackendUnavailableError: If it is a Hub id that cannot be had.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir() or not is_hub_id(checkpoint):
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError

    try:
        copy = snapshot_download(
            checkpoint,
            local_files_only=not hub_is_reachable(),
            allow_patterns=["*.json", VOCABULARY_FILE, WEIGHTS_FILE, "model.onnx", "openvino_model.*"],
        )
    except (HTTPError, OSError) as error:
        reason = hub_cache_problem(error) or str(error).strip().partition("\n")[0]
        raise BackendUnavailableError(
            f"{checkpoint} is neither a folder nor to be had from the Hugging Face Hub: {reason}",
            "Connect once, or pass the folder of a checkpoint.",
        ) from error
    return Path(copy)
