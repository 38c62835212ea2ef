"""A fine-tuned audio classifier: any ``AutoModelForAudioClassification`` folder or Hub id."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HTTPError, StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils.logging import disable_progress_bar

from inference.audio import SAMPLING_RATE
from inference.backends.base import DigitBackend, Prediction, prediction_from_probabilities
from inference.checkpoint import read_crop_contract, require_files
from inference.crop import prepare
from inference.errors import BackendUnavailableError, CheckpointError
from inference.hub import hub_is_reachable
from inference.labels import check_labels

CHECKPOINT_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
_MADE_BY = "accelerate launch finetune/train.py --config finetune/configs/wav2vec2-small.yaml"


class Wav2Vec2Backend(DigitBackend):
    """Runs the classifier with torch, on a GPU where there is one."""

    def __init__(self, model: PreTrainedModel, feature_extractor: Wav2Vec2FeatureExtractor):
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.eval().to(self._device)
        self._feature_extractor = feature_extractor
        self.num_parameters = model.num_parameters()

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Wav2Vec2Backend":
        """Loads a folder written by ``finetune.train``, or a Hub id."""
        torch.set_num_threads(threads)
        disable_progress_bar()  # a bar for loading one small file clutters every output
        folder = _find_folder(checkpoint)
        require_files(folder, CHECKPOINT_FILES, _MADE_BY)
        try:
            check_labels(AutoConfig.from_pretrained(folder).id2label, checkpoint)
            feature_extractor = AutoFeatureExtractor.from_pretrained(folder)
            # safetensors only: a pickled weight file could run code.
            model, loading = AutoModelForAudioClassification.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(f"{checkpoint} cannot be loaded: {reason} Make it: {_MADE_BY}") from error
        if loading["missing_keys"] or loading["mismatched_keys"]:
            # The library would fill the gaps with random weights.
            raise CheckpointError(
                f"{checkpoint}: the weights lack {len(loading['missing_keys'])} arrays and "
                f"{len(loading['mismatched_keys'])} have another shape; restore it or make it: {_MADE_BY}"
            )
        if feature_extractor.sampling_rate != SAMPLING_RATE:
            raise CheckpointError(
                f"{checkpoint} expects {feature_extractor.sampling_rate} Hz, the audio border gives "
                f"{SAMPLING_RATE} Hz: fine-tune a 16 kHz encoder."
            )
        backend = cls(model, feature_extractor)
        names = (*CHECKPOINT_FILES, "labels.json", "crop.json")
        backend.checkpoint_files = tuple(folder / name for name in names if (folder / name).is_file())
        backend.crop_contract = read_crop_contract(folder)
        return backend

    @torch.inference_mode()
    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """See ``DigitBackend.predict``.

        A batch gives the same answers as its clips alone: where the encoder takes no attention
        mask, padding would change them, so only clips of equal length share a batch.
        """
        waveforms = [prepare(waveform, self.crop_contract) for waveform in waveforms]
        if self._feature_extractor.return_attention_mask:
            groups = [list(range(len(waveforms)))] if waveforms else []
        else:
            by_length: dict[int, list[int]] = defaultdict(list)
            for row, waveform in enumerate(waveforms):
                by_length[waveform.size].append(row)
            groups = list(by_length.values())
        predictions: dict[int, Prediction] = {}
        for rows in groups:
            probabilities = self._probabilities([waveforms[row] for row in rows])
            for row, values in zip(rows, probabilities, strict=True):
                predictions[row] = prediction_from_probabilities(values)
        return [predictions[row] for row in range(len(waveforms))]

    def _probabilities(self, waveforms: list[np.ndarray]) -> np.ndarray:
        batch = self._feature_extractor(
            waveforms, sampling_rate=SAMPLING_RATE, padding=True, return_tensors="pt"
        ).to(self._device)
        return self._model(**batch).logits.float().softmax(dim=-1).cpu().numpy()


def _find_folder(checkpoint: str) -> Path:
    """The folder itself, or the cached copy of a Hub id.

    Raises:
        BackendUnavailableError: If it is a Hub id that cannot be had.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir() or not _is_hub_id(checkpoint):
        return folder
    try:
        copy = snapshot_download(
            checkpoint,
            local_files_only=not hub_is_reachable(),
            allow_patterns=["*.json", "model.safetensors"],
        )
    except (HTTPError, OSError) as error:
        raise BackendUnavailableError(
            f"{checkpoint} is neither a folder nor to be had from the Hugging Face Hub: "
            f"{str(error).strip().partition(chr(10))[0]}",
            "Connect once, or pass the folder of a checkpoint.",
        ) from error
    return Path(copy)


def _is_hub_id(checkpoint: str) -> bool:
    """Whether "owner/name" was meant: "runs/mine" could be an id, unless there is a folder "runs"."""
    path = Path(checkpoint)
    return len(path.parts) == 2 and not checkpoint.startswith((".", "/", "~")) and not path.parent.is_dir()
