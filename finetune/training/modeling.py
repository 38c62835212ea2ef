"""The network to train: public weights, or a configuration with random weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    PreTrainedModel,
    SequenceFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from finetune.training.arguments import ModelArguments
from finetune.training.whisper_encoder import encoder_folder, is_known, shorten_window
from inference.audio import SAMPLING_RATE
from inference.errors import CheckpointError
from inference.weights.hub import hub_cache_problem, hub_is_reachable, is_hub_id


def build_model(
    arguments: ModelArguments, classes: Sequence[str]
) -> tuple[PreTrainedModel, SequenceFeatureExtractor]:
    """Builds the classifier and the feature extractor that belongs to it.

    Raises:
        CheckpointError: If the weights or the configuration cannot be had.
    """
    if arguments.from_config:
        path = Path(arguments.from_config)
        model, feature_extractor = _from_config(path, AutoModelForAudioClassification, **_label_maps(classes))
    else:
        model, feature_extractor = _from_weights(arguments.model, "--model", **_label_maps(classes))
    _fit_to_words(model, feature_extractor)
    if arguments.freeze_feature_encoder:
        _feature_encoder(model).requires_grad_(False)
    if arguments.freeze_layers:
        _freeze_layers(model, arguments.freeze_layers)
    return model, feature_extractor


def _feature_encoder(model: Any) -> nn.Module:
    """The convolutions before the transformer."""
    if isinstance(model, WhisperForAudioClassification):
        return nn.ModuleList([model.encoder.conv1, model.encoder.conv2])
    convolutions = getattr(model.base_model, "feature_extractor", None)
    if convolutions is None:
        raise CheckpointError(
            f"{type(model).__name__} has no convolutional feature encoder to freeze; "
            "add --freeze_feature_encoder false."
        )
    return convolutions


def _freeze_layers(model: Any, num_layers: int) -> None:
    """Fixes all of the encoder but its upper layers: no gradient is computed below them."""
    layers = model.base_model.encoder.layers
    if num_layers > len(layers):
        raise CheckpointError(f"--freeze_layers {num_layers}: {type(model).__name__} has {len(layers)}.")
    encoder = _encoder(model)
    learned = {id(parameter) for parameter in layers[num_layers:].parameters()}
    for parameter in encoder.parameters():
        parameter.requires_grad_(parameter.requires_grad and id(parameter) in learned)


def load_encoder(name: str, option: str) -> tuple[PreTrainedModel, SequenceFeatureExtractor]:
    """Loads a pretrained encoder without a head.

    Args:
        name: Hub id or folder.
        option: The one that named it, for messages.

    Raises:
        CheckpointError: If the weights cannot be had, or are of another kind of network.
    """
    model, feature_extractor = _from_weights(name, option)
    _fit_to_words(model, feature_extractor)
    return _encoder(model), feature_extractor


def _encoder(model: Any) -> PreTrainedModel:
    return model.encoder if isinstance(model, WhisperForAudioClassification) else model.base_model


def _fit_to_words(model: PreTrainedModel, feature_extractor: SequenceFeatureExtractor) -> None:
    """Gives Whisper the window of a word; refuses what takes neither that nor a waveform."""
    if isinstance(model, WhisperForAudioClassification):
        shorten_window(model, feature_extractor)
    elif model.main_input_name != "input_values":
        raise CheckpointError(
            f"{type(model).__name__} takes {model.main_input_name}; this command is for encoders of raw "
            "waveforms (Wav2Vec2, HuBERT, WavLM and their kin) and of Whisper."
        )


def random_encoder(path: Path) -> tuple[PreTrainedModel, SequenceFeatureExtractor]:
    """Builds an encoder without a head from a configuration file, with random weights.

    Raises:
        CheckpointError: If the file is missing or holds no model configuration.
    """
    return _from_config(path, AutoModel)


def _from_config(
    path: Path, auto_class: Any, **fields: Any
) -> tuple[PreTrainedModel, SequenceFeatureExtractor]:
    if not path.is_file():
        raise CheckpointError(f"--from_config {path} does not exist; expected a JSON file with 'model_type'.")
    try:
        config = AutoConfig.for_model(**json.loads(path.read_text(encoding="utf-8")), **fields)
        model = auto_class.from_config(config)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"--from_config {path} is not a model configuration: {error}") from error
    if config.model_type == "whisper":
        return model, WhisperFeatureExtractor(feature_size=config.num_mel_bins)
    feature_extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLING_RATE,
        do_normalize=True,
        return_attention_mask=getattr(config, "feat_extract_norm", "layer") == "layer",
    )
    return model, feature_extractor


def _from_weights(name: str, option: str, **fields: Any) -> tuple[PreTrainedModel, SequenceFeatureExtractor]:
    local = Path(name).is_dir()
    if not local and not is_hub_id(name):
        raise CheckpointError(
            f"{option} {name} does not exist; expected a folder, such as python -m finetune.pretrain makes, "
            "or a Hub id owner/name."
        )
    offline = not local and not hub_is_reachable()
    source: dict[str, Any] = {"pretrained_model_name_or_path": name, "local_files_only": offline}
    if offline and is_known(name):
        source["pretrained_model_name_or_path"] = encoder_folder(name)
    try:
        feature_extractor = AutoFeatureExtractor.from_pretrained(**source)
        model = AutoModelForAudioClassification.from_pretrained(
            **source,
            **fields,
            ignore_mismatched_sizes=True,  # the head of another task is replaced
        )
    except (OSError, ValueError, RuntimeError) as error:
        way_out = (
            "check that it holds config.json, preprocessor_config.json and model.safetensors"
            if local
            else "connect to the Hugging Face Hub once, pass a folder, or start from random weights with "
            "--config finetune/configs/wav2vec2-small.yaml"
        )
        raise CheckpointError(
            f"{option} {name} cannot be loaded ({hub_cache_problem(error) or _first_line(error)}); {way_out}."
        ) from error
    if feature_extractor.sampling_rate != SAMPLING_RATE:
        raise CheckpointError(
            f"{option} {name} expects audio at {feature_extractor.sampling_rate} Hz; this project's audio "
            f"border gives {SAMPLING_RATE} Hz. Choose a 16 kHz encoder such as facebook/wav2vec2-base."
        )
    return model, feature_extractor


def _label_maps(classes: Sequence[str]) -> dict[str, Any]:
    return {
        "num_labels": len(classes),
        "id2label": dict(enumerate(classes)),
        "label2id": {label: label_id for label_id, label in enumerate(classes)},
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
