"""A network of some thousand weights and a recipe that trains it in seconds."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForAudioClassification,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from finetune import fit_baseline, pretrain
from tests.finetune.training.test_clip_dataset import MICRO

#: What was trained is asked where it was trained: a conversion takes longer than all else of a test.
TORCH = {"runtime": "torch"}
NUM_EPOCHS = 2
BATCH = 4


@pytest.fixture(scope="package", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded audio goes into a folder that is thrown away, not into the user's cache."""
    folder = tmp_path_factory.mktemp("user-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory, spoken_corpus: Path) -> Path:
    """A YAML file for ``finetune.train``: synthetic voices, fp32, two epochs."""
    folder = tmp_path_factory.mktemp("config")
    network = {"model_type": "wav2vec2", "feat_extract_norm": "layer", "do_stable_layer_norm": True, **MICRO}
    (folder / "micro.json").write_text(json.dumps(network))
    options = (
        f"dataset: {spoken_corpus}\nfrom_config: {folder / 'micro.json'}\nnum_train_epochs: {NUM_EPOCHS}\n"
        f"per_device_train_batch_size: {BATCH}\nlearning_rate: 2.0e-3\nbf16: false\n"
    )
    (folder / "micro.yaml").write_text(options)
    return folder / "micro.yaml"


@pytest.fixture(scope="session")
def fitted_mfcc(tmp_path_factory: pytest.TempPathFactory, spoken_corpus: Path) -> Path:
    """The default baseline, fitted to synthetic voices; whoever changes something copies it."""
    folder = tmp_path_factory.mktemp("fit") / "mfcc"
    assert fit_baseline.main(["--dataset", str(spoken_corpus), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def fitted_network(tmp_path_factory: pytest.TempPathFactory, spoken_corpus: Path) -> Path:
    """The speech embedding, fitted to synthetic voices in a few steps."""
    folder = tmp_path_factory.mktemp("fit") / "speech-embedding"
    words = ["--model", "speech-embedding", "--steps", "40", "--synthetic_share", "0"]
    assert fit_baseline.main([*words, "--dataset", str(spoken_corpus), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fields = json.loads(pretrain.CONFIG.read_text()) | {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "intermediate_size": 32,
        "classifier_proj_size": 16,
        "conv_dim": [16, 16, 16, 32],
    }
    path = tmp_path_factory.mktemp("architecture") / "tiny.json"
    path.write_text(json.dumps(fields))
    return path


@pytest.fixture(scope="session")
def speech_encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of two kinds that share frames of 20 ms, as a Hub folder holds them."""
    folder = tmp_path_factory.mktemp("teachers")
    torch.manual_seed(0)
    whisper = {
        "d_model": 16,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 16,
        "decoder_layers": 0,
    }
    for model_type, fields in (("whisper", whisper), ("wav2vec2", MICRO)):
        model = AutoModelForAudioClassification.from_config(AutoConfig.for_model(model_type, **fields))
        model.save_pretrained(folder / model_type)
    WhisperFeatureExtractor().save_pretrained(folder / "whisper")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder / "wav2vec2")
    return {name: folder / name for name in ("whisper", "wav2vec2")}
