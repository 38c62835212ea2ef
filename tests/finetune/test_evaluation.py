"""Evaluation and preview as a user runs them."""

import json
import shutil
from pathlib import Path

import pytest

from finetune import evaluation, preview
from finetune.checkpoint.writer import FIGURES_NAME
from inference.backends.table import BACKENDS


@pytest.fixture
def checkpoint(fitted_mfcc: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted_mfcc, tmp_path / "mfcc"))


def test_evaluation_agrees_with_the_card(checkpoint: Path, spoken_corpus: Path, capsys) -> None:
    history = [{"epoch": 1, "loss": 2.0}, {"epoch": 1, "eval_loss": 1.5, "eval_accuracy": 0.5}]
    (checkpoint / "history.json").write_text(json.dumps(history))
    assert evaluation.main([str(checkpoint), "--dataset", str(spoken_corpus)]) == 0
    report = json.loads((checkpoint / "evaluation" / "evaluation.json").read_text())
    figures = json.loads((checkpoint / FIGURES_NAME).read_text())
    assert report["accuracy"] == figures["test_accuracy"]
    assert report["clips"] == figures["test_clips"] == sum(map(sum, report["confusion"]))
    assert f"accuracy {report['accuracy']:.4f}" in capsys.readouterr().out
    for name in ("confusion.png", "curves.png", "roc.png"):
        assert (checkpoint / "evaluation" / name).read_bytes().startswith(b"\x89PNG")


def test_another_corpus_is_refused(checkpoint: Path, spoken_corpus: Path, tmp_path: Path, capsys) -> None:
    for path in sorted(spoken_corpus.glob("*_[0-6].wav")):
        if not path.name.startswith("9_"):
            (tmp_path / path.name).symlink_to(path)
    assert evaluation.main([str(checkpoint), "--dataset", str(tmp_path)]) == 2
    assert "has another test set" in capsys.readouterr().err


def test_a_folder_without_a_card_is_refused(tmp_path: Path, capsys) -> None:
    assert evaluation.main([str(tmp_path)]) == 2
    assert "has no split_card.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["mfcc", "mfcc-cnn", "logmel-dscnn", "speech-embedding", "wav2vec2", "whisper-encoder"]
)
def test_the_files_of_a_checkpoint_say_what_runs_it(name: str) -> None:
    found = evaluation._backend_name(Path(BACKENDS[name].default_checkpoint))
    assert BACKENDS[found].import_path == BACKENDS[name].import_path


def test_preview_draws_a_picture(spoken_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "preview.png"
    options = ["--dataset", str(spoken_corpus), "--clips", "2", "--epochs", "2", "--out", str(path)]
    assert preview.main(options) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
