"""Pretraining: what is taught, and an encoder that fine-tuning starts from."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from finetune import pretrain, train
from finetune.checkpoint.split_card import read_split_card
from finetune.corpus.clip import wav_bytes
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from finetune.training import lessons
from finetune.training.arguments import ModelArguments
from finetune.training.modeling import build_model
from inference.backends.table import CARD_NAME
from inference.vocabulary import DIGITS
from tests.conftest import PROJECT
from tests.finetune.training.test_clip_dataset import noise


def test_fine_tuning_starts_from_the_pretrained_encoder(
    architecture: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(lessons, "TAKES_PER_LABEL", 2)
    folder = tmp_path / "pretrained"
    words = ["--from_config", str(architecture), "--words", "20", "--steps", "3", "--batch_size", "8"]
    assert pretrain.main([*words, "--out", str(folder)]) == 0
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
    assert pretrain.main([*words, "--out", str(folder)]) == 2
    assert "holds a finished checkpoint" in capsys.readouterr().err


def test_another_architecture_does_not_go_on_where_one_was_stopped(
    architecture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(lessons, "TAKES_PER_LABEL", 2)
    folder = tmp_path / "pretrained"
    words = ["--words", "20", "--steps", "2", "--batch_size", "8", "--out", str(folder)]
    assert pretrain.main(["--from_config", str(architecture), *words]) == 0
    # As a kill would have left it, before the encoder was complete.
    (folder / CARD_NAME).unlink()
    (folder / "checkpoint-2").mkdir()
    wider = tmp_path / "wider.json"
    wider.write_text(json.dumps(json.loads(architecture.read_text()) | {"intermediate_size": 48}))
    assert pretrain.main(["--from_config", str(wider), *words]) == 2
    assert "unfinished run with another architecture" in capsys.readouterr().err
    assert pretrain.main(["--from_config", str(architecture), *words]) == 0


def test_recordings_of_several_corpora_and_a_teacher_from_a_folder(
    architecture: Path,
    config: Path,
    speech_encoders: dict[str, Path],
    spoken_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lessons, "TAKES_PER_LABEL", 2)
    more, others = tmp_path / "more", tmp_path / "others"
    for folder, names in ((more, ("3_ann_0", "4_anna_0")), (others, ("dog_ann_0",))):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.wav").write_bytes(wav_bytes(noise(8000 + len(name))))
        (folder / "NOTICE").write_text(f"Licence of {folder.name}.")
    out = tmp_path / "pretrained"
    words = ["--from-config", str(architecture), "--words", "20", "--steps", "3", "--batch-size", "8"]
    data = ["--dataset", str(spoken_corpus), str(more), "--non-words", str(others), "--out", str(out)]
    assert pretrain.main([*words, "--teacher", str(speech_encoders["whisper"]), *data]) == 0
    card = (out / "README.md").read_text()
    assert "taught what whisper hears" in card
    assert "license: other" in card
    assert "> Licence of more." in card
    assert "1 recordings of other words from the folder others" in card
    assert str(tmp_path) not in card
    heard = read_split_card(out)
    assert heard is not None
    assert {"ann", "anna"} < set(heard.train_speakers)
    tuned = tmp_path / "tuned"
    run = ["--config", str(config), "--model", str(out), "--freeze_feature_encoder", "false"]
    assert train.main([*run, "--max_steps", "1", "--output_dir", str(tuned)]) == 0
    told = read_split_card(tuned)
    assert told is not None
    assert heard.train_hashes < told.train_hashes
    split = make_split(load_corpus(str(spoken_corpus)).clips)
    assert f"Learned from {len(split.train) + 2 + 1 + 40} clips" in card  # no validation, no test clip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_it_ends_the_same(
    architecture: Path, speech_encoders: dict[str, Path], tmp_path: Path
) -> None:
    program = (
        "import sys; from finetune.training import lessons; lessons.TAKES_PER_LABEL = 2; "
        "from finetune.pretrain import main; sys.exit(main())"
    )
    words = ["--from-config", str(architecture), "--teacher", str(speech_encoders["wav2vec2"])]
    steps = ["--words", "20", "--steps", "60", "--batch-size", "8", "--out"]
    command = [sys.executable, "-c", program, *words, *steps]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], cwd=PROJECT, check=True, capture_output=True)
    run = subprocess.Popen([*command, str(killed)], cwd=PROJECT, stderr=subprocess.DEVNULL)
    while run.poll() is None and not list(killed.glob("checkpoint-*")):
        time.sleep(0.02)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert not (killed / CARD_NAME).exists()
    subprocess.run([*command, str(killed)], cwd=PROJECT, check=True, capture_output=True)
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, killed))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=1e-5, atol=1e-6)
