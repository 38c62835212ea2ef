"""Whisper's encoder as the start of a classifier: its weights without the Hub, and a window of a word."""

import re
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers import PreTrainedModel, WhisperConfig, WhisperFeatureExtractor

from finetune.corpus.clip import CorpusSource
from inference.backends.whisper.ctranslate2_file import read_arrays
from inference.files import cache_folder, new_folder
from inference.weights.fetching import fetch_weights
from inference.weights.table import WEIGHTS

#: What a classifier is given, in seconds; the weights were trained on 30.
WINDOW_S = 2
#: Under which names OpenAI publishes them on the Hub.
_HUB_PREFIX = "openai/whisper-"
_NOTICE = (
    "Whisper, Copyright (c) 2022 OpenAI, MIT License: https://github.com/openai/whisper/blob/main/LICENSE"
)
#: Heads are 64 wide in every size.
_HEAD_WIDTH = 64


def weights_source(model: str) -> tuple[CorpusSource, ...]:
    """What the card says of the weights that training starts from, where their licence is known."""
    return (CorpusSource("weights", model, _NOTICE),) if model.startswith(_HUB_PREFIX) else ()


def is_known(model: str) -> bool:
    """Whether a Hub id names weights that can be had without the Hub."""
    return model.startswith(_HUB_PREFIX) and model.removeprefix(_HUB_PREFIX) in WEIGHTS


def encoder_folder(model: str) -> Path:
    """The encoder of known weights as a folder of transformers, made once from those of CTranslate2.

    Args:
        model: A Hub id that ``is_known``.

    Raises:
        BackendUnavailableError: If the weights are not here and cannot be fetched.
    """
    name = model.removeprefix(_HUB_PREFIX)
    folder = cache_folder() / "weights" / f"{name}-encoder"
    if not folder.is_dir():
        source = fetch_weights(name)
        with new_folder(folder) as unfinished:
            convert(source, unfinished)
    return folder


def convert(source: Path, folder: Path) -> None:
    """Writes the encoder of a CTranslate2 Whisper as transformers keeps a classifier without its head.

    Args:
        source: A folder with ``model.bin``, its weights in float32 or float16.
        folder: Where to write.

    Raises:
        ValueError: If the weights are of another type.
    """
    arrays = read_arrays(source / "model.bin", "encoder/")
    weights: dict[str, np.ndarray] = {}
    for name, values in arrays.items():
        weights |= _renamed(name.removeprefix("encoder/"), values)
    width, n_mels, _ = arrays["encoder/conv1/weight"].shape
    num_layers = sum(name.endswith("ffn/linear_0/weight") for name in arrays)
    config = WhisperConfig(
        d_model=width,
        num_mel_bins=n_mels,
        encoder_layers=num_layers,
        encoder_attention_heads=width // _HEAD_WIDTH,
        encoder_ffn_dim=arrays["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        max_source_positions=arrays["encoder/position_encodings/encodings"].shape[0],
        decoder_layers=0,
        architectures=["WhisperForAudioClassification"],
    )
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    WhisperFeatureExtractor(feature_size=n_mels).save_pretrained(folder)
    config.save_pretrained(folder)


def shorten_window(model: PreTrainedModel, feature_extractor: WhisperFeatureExtractor) -> None:
    """Leaves the first ``WINDOW_S`` of the positions: the encoder refuses other lengths than all of them."""
    # On a CPU, in bfloat16, a step takes 0.6 of the time it takes with torch's fused attention.
    model.set_attn_implementation("eager")
    feature_extractor.chunk_length = WINDOW_S
    feature_extractor.n_samples = WINDOW_S * feature_extractor.sampling_rate
    feature_extractor.nb_max_frames = feature_extractor.n_samples // feature_extractor.hop_length
    positions = model.encoder.embed_positions
    positions.num_embeddings = feature_extractor.nb_max_frames // model.encoder.conv2.stride[0]
    positions.weight.data = positions.weight.data[: positions.num_embeddings].clone()
    model.config.max_source_positions = positions.num_embeddings


def _renamed(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """One array of CTranslate2 under the names that transformers has for it."""
    if name == "position_encodings/encodings":
        return {"encoder.embed_positions.weight": values}
    place, _, kind = name.rpartition("/")
    kind = {"gamma": "weight", "beta": "bias"}.get(kind, kind)
    place = re.sub(r"^layer_(?=\d)", "layers.", place)
    if place.endswith("self_attention/linear_0"):
        queries, keys, numbers = np.split(values, 3)
        layer = f"encoder.{place.removesuffix('/self_attention/linear_0')}.self_attn"
        parts = {"q_proj": queries, "k_proj": keys, "v_proj": numbers}
        if kind == "bias":
            del parts["k_proj"]  # Whisper's keys have none; the file holds zeros
        return {f"{layer}.{part}.{kind}": np.ascontiguousarray(array) for part, array in parts.items()}
    for theirs, ours in (
        ("/self_attention/linear_1", ".self_attn.out_proj"),
        ("/self_attention/layer_norm", ".self_attn_layer_norm"),
        ("/ffn/layer_norm", ".final_layer_norm"),
        ("/ffn/linear_0", ".fc1"),
        ("/ffn/linear_1", ".fc2"),
    ):
        place = place.replace(theirs, ours)
    return {f"encoder.{place}.{kind}": values}
