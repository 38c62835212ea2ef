"""Counted work against torch's own counter."""

import json

import pytest

from inference.backends.multiply_accumulates import (
    count_log_mel,
    count_network,
    count_wav2vec2,
    count_whisper_encoder,
)
from inference.backends.table import SHIPPED_CHECKPOINTS, load_backend
from inference.features import WindowSettings


@pytest.mark.parametrize("num_samples", [6720, 16_000])
def test_wav2vec2_as_torch_counts_it(num_samples: int) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForAudioClassification

    folder = SHIPPED_CHECKPOINTS / "wav2vec2"
    model = AutoModelForAudioClassification.from_pretrained(folder, attn_implementation="eager").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, num_samples))
    counted = count_wav2vec2(json.loads((folder / "config.json").read_text()), num_samples)
    assert counted == pytest.approx(counter.get_total_flops() / 2, rel=0.02)


def test_whisper_encoder_as_torch_counts_it() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import WhisperConfig, WhisperForAudioClassification

    config = WhisperConfig(max_source_positions=100, num_labels=11, encoder_layers=2, decoder_layers=0)
    config._attn_implementation = "eager"
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        WhisperForAudioClassification(config).eval()(torch.zeros(1, 80, 200))
    counted = count_whisper_encoder(config.to_dict())
    assert counted == pytest.approx(counter.get_total_flops() / 2, rel=0.02)


def test_longer_audio_is_more_work() -> None:
    assert count_log_mel(16_000, 40) == pytest.approx(count_log_mel(8000, 40) * 2, rel=0.02)
    backend = load_backend("mfcc")
    assert backend.multiply_accumulates(16_000) > backend.multiply_accumulates(6720) > backend.num_parameters


def test_a_network_as_torch_counts_it() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from finetune.baselines.networks import LogMelDscnn

    folder = SHIPPED_CHECKPOINTS / "logmel-dscnn"
    settings = WindowSettings(**json.loads((folder / "features.json").read_text()))
    network = LogMelDscnn(len(json.loads((folder / "labels.json").read_text())), settings.n_mels).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, settings.num_frames, settings.n_mels))
    assert count_network(folder / "model.onnx") == counter.get_total_flops() / 2
    both = [
        load_backend(name).multiply_accumulates(16_000) for name in ("speech-embedding", "whisper-encoder")
    ]
    assert load_backend("ensemble").multiply_accumulates(16_000) == sum(both)
