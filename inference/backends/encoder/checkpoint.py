"""What a classifier's folder says about itself, read without the library that made it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from inference.audio import SAMPLING_RATE
from inference.backends.encoder.input_values import normalised
from inference.backends.encoder.select_runtime import RuntimeChoice
from inference.backends.encoder.whisper_log_mel import whisper_log_mel
from inference.checkpoint import require_files
from inference.errors import CheckpointError
from inference.files import read_json
from inference.vocabulary import check_labels

WEIGHTS_FILE = "model.safetensors"
EXPORT_FILE = "export.json"
SETTINGS_FILES = ("config.json", "preprocessor_config.json")
MADE_BY = "accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small.yaml"
#: Kinds of encoder that keep padding out where it is masked, the frames behind a clip included.
_MASKED_KINDS = frozenset({"hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm"})


@dataclass(frozen=True)
class EncoderCheckpoint:
    """A complete folder whose classes are those of the vocabulary.

    Attributes:
        folder: Where it is.
        hidden_size: Width of the encoder.
        pads_exactly: Whether clips of unlike lengths can share a batch without touching each other.
        normalises: Whether waveforms are brought to zero mean and unit variance.
        num_parameters: Stored values of the model.
        exported: What it was exported for; None for a folder with the weights of torch.
        log_mel_shape: ``(n_mels, num_frames)`` of an encoder of log-mel windows, all of one length; None
            for one of waveforms.
    """

    folder: Path
    hidden_size: int
    pads_exactly: bool
    normalises: bool
    num_parameters: int
    exported: RuntimeChoice | None
    log_mel_shape: tuple[int, int] | None = None

    @property
    def converts_exactly(self) -> bool:
        """Whether conversion for other runtimes than torch is known to change no answer."""
        return self.pads_exactly or self.log_mel_shape is not None

    def inputs(self, waveform: np.ndarray) -> np.ndarray:
        """What the encoder is given of a clip: ``(num_samples,)``, or ``(n_mels, num_frames)``."""
        if self.log_mel_shape is not None:
            return whisper_log_mel(waveform, *self.log_mel_shape)
        return normalised(waveform) if self.normalises else waveform


def read_encoder_checkpoint(folder: Path) -> EncoderCheckpoint:
    """Reads and checks the settings of a folder.

    Raises:
        CheckpointError: If files are missing or damaged, or the model is of another vocabulary or rate.
    """
    require_files(folder, SETTINGS_FILES, MADE_BY)
    config, features = (_settings(folder / name) for name in SETTINGS_FILES)
    names = config.get("id2label")
    if not isinstance(names, dict) or not all(key.isdecimal() for key in names):
        raise CheckpointError(f"{folder / 'config.json'} names no classes (id2label). Make it: {MADE_BY}")
    check_labels({int(key): name for key, name in names.items()}, folder / SETTINGS_FILES[0])
    rate = features.get("sampling_rate", SAMPLING_RATE)
    if rate != SAMPLING_RATE:
        raise CheckpointError(
            f"{folder} expects {rate} Hz, the audio border gives {SAMPLING_RATE} Hz: "
            "fine-tune a 16 kHz encoder."
        )
    export = _read_export(folder)
    if export is None:
        require_files(folder, (WEIGHTS_FILE,), MADE_BY)
    return EncoderCheckpoint(
        folder=folder,
        hidden_size=config.get("hidden_size") or config.get("d_model", 0),
        pads_exactly=config.get("model_type") in _MASKED_KINDS and not config.get("conv_pos_batch_norm"),
        normalises=features.get("do_normalize", True),
        num_parameters=export[1] if export else _count_parameters(folder / WEIGHTS_FILE),
        exported=export[0] if export else None,
        log_mel_shape=_log_mel_shape(config) if config.get("model_type") == "whisper" else None,
    )


def _log_mel_shape(config: dict[str, Any]) -> tuple[int, int]:
    # The second convolution takes every other frame.
    return config["num_mel_bins"], 2 * config["max_source_positions"]


def _settings(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds {type(content).__name__}, expected settings by name.")
    return content


def _read_export(folder: Path) -> tuple[RuntimeChoice, int] | None:
    path = folder / EXPORT_FILE
    if not path.is_file():
        return None
    fields = _settings(path)
    try:
        return RuntimeChoice(fields["runtime"], fields["precision"]), fields["num_parameters"]
    except KeyError as error:
        raise CheckpointError(
            f"{path} lacks {error}; export again: python -m finetune.export --help"
        ) from error


def _count_parameters(path: Path) -> int:
    try:
        with safe_open(path, framework="numpy") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.parent} cannot be loaded: {error} Make it: {MADE_BY}") from error
    return sum(math.prod(shape) for shape in shapes)
