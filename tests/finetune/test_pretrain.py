"""Pretraining: what is taught, and an encoder that fine-tuning starts from."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finetune import pretrain, train
from finetune.training import distillation
from finetune.training.arguments import ModelArguments
from finetune.training.modeling import build_model
from inference.vocabulary import DIGITS


def test_fine_tuning_starts_from_the_pretrained_encoder(
    architecture: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(distillation, "TAKES_PER_LABEL", 2)
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
    monkeypatch.setattr(distillation, "TAKES_PER_LABEL", 2)
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
