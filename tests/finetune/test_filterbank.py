import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForAudioClassification

from finetune.filterbank import PHASES, mel_filters, start_as_filterbank
from inference.errors import CheckpointError

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


def model(channels: int, kernel: int):
    config = AutoConfig.for_model(
        "wav2vec2",
        **SMALL,
        conv_dim=[channels],
        conv_kernel=[kernel],
        conv_stride=[160],
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
    )
    return AutoModelForAudioClassification.from_config(config)


def test_bands_cover_speech_from_low_to_high() -> None:
    filters = mel_filters(20, 400)
    assert filters.shape == (20 * PHASES, 400)
    spectra = np.abs(np.fft.rfft(filters, 16_000))
    peaks_hz = spectra.argmax(axis=1).reshape(PHASES, 20)
    assert (np.diff(peaks_hz, axis=1) > 0).all()
    assert np.ptp(peaks_hz, axis=0).max() < 20  # the phases of a band agree
    np.testing.assert_allclose(peaks_hz[0, [0, -1]], [80, 7000], atol=30)


def test_a_band_is_as_loud_in_every_phase_of_a_tone() -> None:
    filters = mel_filters(20, 400)
    time = np.arange(400) / 16_000
    amplitudes = [
        np.maximum(filters @ np.sin(2 * np.pi * 1000 * time + phase), 0).reshape(PHASES, 20).sum(axis=0).max()
        for phase in np.linspace(0, 2 * np.pi, 50)
    ]
    assert max(amplitudes) / min(amplitudes) < 1.45  # |cos| + |sin| lies between 1 and the root of 2


def test_the_first_convolution_starts_as_the_filter_bank() -> None:
    network = model(16, 400)
    start_as_filterbank(network)
    first = next(part for part in network.modules() if isinstance(part, torch.nn.Conv1d))
    np.testing.assert_array_equal(first.weight[:, 0].detach(), mel_filters(4, 400))


def test_other_channel_counts_are_refused() -> None:
    with pytest.raises(CheckpointError, match="multiple of 4 channels"):
        start_as_filterbank(model(18, 400))
