"""Whisper's encoder without the Hub: the published weights, a short window, and a classifier on top."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from finetune import train
from finetune.training import modeling, whisper_encoder
from finetune.training.arguments import ModelArguments
from finetune.training.modeling import build_model
from inference.audio import decode_audio
from inference.backends.table import load_backend
from inference.vocabulary import DIGITS
from tests.conftest import PROJECT

MICRO_WHISPER = {
    "model_type": "whisper",
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_layers": 0,
    "classifier_proj_size": 32,
}


def test_the_encoder_computes_what_ctranslate2_computes(
    tiny_en: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faster_whisper import WhisperModel

    from inference.backends.whisper.window import encode, log_mel, place

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(whisper_encoder, "fetch_weights", lambda name: tiny_en)
    monkeypatch.setattr(modeling, "hub_is_reachable", lambda: False)
    arguments = ModelArguments(model="openai/whisper-tiny.en", freeze_layers=3)
    model, extractor = build_model(arguments, DIGITS.labels)
    waveform = decode_audio(PROJECT / "inference" / "app" / "examples" / "five.flac")
    features = extractor(waveform, sampling_rate=16_000, return_tensors="pt")["input_features"]
    with torch.inference_mode():
        found = model.eval().encoder(features).last_hidden_state[0].numpy()
    theirs = WhisperModel(str(tiny_en), device="cpu", compute_type="float32")
    expected = np.array(encode(theirs, [log_mel(theirs, place(waveform, 200, lead_frames=0))]))[0]
    assert found.shape == (100, 384)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[0] for name in learned} == {"encoder", "projector", "classifier"}
    assert all(name.startswith("encoder.layers.3.") for name in learned if name.startswith("encoder"))


def test_a_classifier_on_it_is_a_checkpoint_like_any_other(config: Path, tmp_path: Path) -> None:
    (tmp_path / "whisper.json").write_text(json.dumps(MICRO_WHISPER))
    output_dir = tmp_path / "out"
    words = ["--config", str(config), "--from_config", str(tmp_path / "whisper.json")]
    assert train.main([*words, "--output_dir", str(output_dir), "--max_steps", "1"]) == 0
    assert json.loads((output_dir / "config.json").read_text())["max_source_positions"] == 100
    assert json.loads((output_dir / "preprocessor_config.json").read_text())["chunk_length"] == 2
    backend = load_backend("whisper-encoder", str(output_dir), options={"runtime": "torch"})
    (prediction,) = backend.predict([np.zeros(8000, np.float32)])
    assert prediction.label in DIGITS.labels
    stored = load_file(output_dir / "model.safetensors")
    assert backend.num_parameters == sum(array.size for array in stored.values())


def test_the_card_names_the_licence_of_the_weights() -> None:
    (source,) = whisper_encoder.weights_source("openai/whisper-tiny.en")
    assert (source.use, source.description) == ("weights", "openai/whisper-tiny.en")
    assert "MIT" in source.notice
    assert whisper_encoder.weights_source("facebook/wav2vec2-base") == ()
