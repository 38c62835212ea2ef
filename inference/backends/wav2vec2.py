"""A fine-tuned audio classifier: any ``AutoModelForAudioClassification`` folder or Hub id."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
)

from inference.audio import SAMPLING_RATE
from inference.backends.base import DigitBackend, Prediction, prediction_from_probabilities
from inference.checkpoint import read_crop_contract, require_files
from inference.crop import CropContract, prepare
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
        folder = Path(checkpoint)
        local = folder.is_dir() or _looks_like_path(checkpoint)
        if local:
            require_files(folder, CHECKPOINT_FILES, _MADE_BY)
        offline = local or not hub_is_reachable()
        try:
            config = AutoConfig.from_pretrained(checkpoint, local_files_only=offline)
            check_labels(config.id2label, checkpoint)
            feature_extractor = AutoFeatureExtractor.from_pretrained(checkpoint, local_files_only=offline)
            # safetensors only: a pickled weight file could run code.
            model = AutoModelForAudioClassification.from_pretrained(
                checkpoint, local_files_only=offline, use_safetensors=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            if local:
                raise CheckpointError(
                    f"{checkpoint} cannot be loaded: {reason} Make it again: {_MADE_BY}"
                ) from error
            raise BackendUnavailableError(
                f"{checkpoint} cannot be had from the Hugging Face Hub: {reason}",
                "Connect once, or pass the folder of a checkpoint.",
            ) from error
        if feature_extractor.sampling_rate != SAMPLING_RATE:
            raise CheckpointError(
                f"{checkpoint} expects {feature_extractor.sampling_rate} Hz, the audio border gives "
                f"{SAMPLING_RATE} Hz: fine-tune a 16 kHz encoder."
            )
        backend = cls(model, feature_extractor)
        if local:
            names = (*CHECKPOINT_FILES, "labels.json", "crop.json")
            backend.checkpoint_files = tuple(folder / name for name in names if (folder / name).is_file())
            backend.crop_contract = read_crop_contract(folder)
        else:
            backend.crop_contract = CropContract()
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


def _looks_like_path(checkpoint: str) -> bool:
    """Whether a missing folder was meant: "runs/mine" could be a Hub id, "./runs/mine" could not."""
    return (
        checkpoint.startswith((".", "/", "~"))
        or checkpoint.count("/") != 1
        or Path(checkpoint).parent.is_dir()
    )
