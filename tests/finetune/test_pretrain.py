"""Pretraining: what is taught, and an encoder that fine-tuning starts from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from finetune import pretrain, train
from finetune.baselines.speech_embedding import EMBEDDING_SIZE
from finetune.corpus.loading import load_corpus
from finetune.training.arguments import ModelArguments
from finetune.training.embedding_student import (
    SHIFTS,
    EmbeddingStudent,
    embeddings,
    load_teacher,
    regression_loss,
)
from finetune.training.modeling import build_model, random_encoder
from inference.vocabulary import DIGITS


@pytest.fixture(scope="module")
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


def test_embeddings_tell_words_apart_whoever_speaks(spoken_corpus: Path) -> None:
    """The nearest other voice's clip mostly says the same word, though nothing was fitted."""
    clips = load_corpus(str(spoken_corpus)).clips[::3]
    matrix = embeddings(load_teacher(), [clip.waveform() for clip in clips])
    assert matrix.shape == (len(clips), EMBEDDING_SIZE * len(SHIFTS))
    np.testing.assert_allclose(matrix.mean(axis=0), 0.0, atol=1e-3)
    distances = np.linalg.norm(matrix[:, None] - matrix[None], axis=2)
    speakers = np.array([clip.speaker for clip in clips])
    distances[speakers[:, None] == speakers[None]] = np.inf
    hits = [clips[row].label == clips[nearest].label for row, nearest in enumerate(distances.argmin(axis=1))]
    assert np.mean(hits) > 0.4  # chance is 0.1


def test_padding_does_not_change_what_is_told(architecture: Path) -> None:
    torch.manual_seed(0)
    encoder, _ = random_encoder(architecture)
    student = EmbeddingStudent(encoder, 6).eval()
    short = torch.randn(1, 6000)
    padded = torch.nn.functional.pad(short, (0, 4000))
    mask = torch.arange(10_000)[None] < 6000
    with torch.no_grad():
        alone = student(short, torch.ones(1, 6000, dtype=torch.long))["logits"]
        together = student(padded, mask.long())["logits"]
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_accumulated_losses_add_up_to_that_of_the_whole_batch() -> None:
    told, wanted = torch.randn(8, 5), torch.randn(8, 5)
    whole = regression_loss({"logits": told}, wanted, None)
    halves = [regression_loss({"logits": told[rows]}, wanted[rows], 40) for rows in (slice(4), slice(4, 8))]
    torch.testing.assert_close(sum(halves), whole)
    torch.testing.assert_close(whole, torch.nn.functional.mse_loss(told, wanted))


def test_fine_tuning_starts_from_the_pretrained_encoder(
    architecture: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(pretrain, "NUM_LABEL_UTTERANCES", 2)
    folder = tmp_path / "pretrained"
    words = ["--from_config", str(architecture), "--words", "20", "--steps", "3", "--batch_size", "8"]
    assert pretrain.main([*words, "--output_dir", str(folder)]) == 0
    assert not list(folder.glob("checkpoint-*"))
    assert "python -m finetune.pretrain --from_config" in (folder / "README.md").read_text()
    model, _ = build_model(ModelArguments(model=str(folder), freeze_feature_encoder=False), DIGITS.labels)
    stored = load_file(folder / "model.safetensors")
    assert stored
    for name, weight in stored.items():
        torch.testing.assert_close(model.wav2vec2.state_dict()[name], weight)
    run = ["--config", str(config), "--model", str(folder), "--freeze_feature_encoder", "false"]
    assert train.main([*run, "--max_steps", "1", "--output_dir", str(tmp_path / "tuned")]) == 0
    # A second start would throw the first one's work away.
    assert pretrain.main([*words, "--output_dir", str(folder)]) == 2
    assert "holds a pretrained encoder" in capsys.readouterr().err


def test_another_architecture_does_not_go_on_where_one_was_stopped(
    architecture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(pretrain, "NUM_LABEL_UTTERANCES", 2)
    folder = tmp_path / "pretrained"
    words = ["--words", "20", "--steps", "2", "--batch_size", "8", "--output_dir", str(folder)]
    assert pretrain.main(["--from_config", str(architecture), *words]) == 0
    # As a kill would have left it, before the encoder was complete.
    (folder / "config.json").unlink()
    (folder / "checkpoint-2").mkdir()
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(json.loads(architecture.read_text()) | {"intermediate_size": 48}))
    assert pretrain.main(["--from_config", str(wider), *words]) == 2
    assert "unfinished run with another architecture" in capsys.readouterr().err
    assert pretrain.main(["--from_config", str(architecture), *words]) == 0
