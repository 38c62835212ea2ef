"""Exports: a checkpoint like any other, written only if it still answers like PyTorch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from finetune import export as export_command
from finetune.checkpoint.split_card import SplitCard, read_split_card
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from finetune.export import main
from inference.backends.table import load_backend
from tests.inference.backends.encoder.test_backend import make_checkpoint

CALIBRATION = {"temperature": 1.5, "threshold": 0.4, "false_reject_rate": 0.02, "false_accept_rate": 0.1}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, spoken_corpus: Path) -> Path:
    folder = make_checkpoint(tmp_path_factory.mktemp("export") / "trained", "wav2vec2-layer")
    corpus = load_corpus(str(spoken_corpus))
    SplitCard.from_split(corpus, make_split(corpus.clips)).write(folder)
    (folder / "calibration.json").write_text(json.dumps({**CALIBRATION, "num_digits": 9, "num_others": 9}))
    (folder / "README.md").write_text("# A model\n")
    return folder


def export(checkpoint: Path, out: Path, dataset: Path, *options: str) -> int:
    return main([str(checkpoint), "--out", str(out), "--dataset", str(dataset), *options])


@pytest.mark.parametrize(
    ("options", "module"),
    [
        (("--format", "onnx"), "onnxruntime"),
        (("--format", "onnx", "--precision", "int8"), "onnx"),
        pytest.param(("--format", "openvino", "--precision", "int8"), "nncf", marks=pytest.mark.slow),
        pytest.param(("--format", "openvino", "--precision", "bf16"), "openvino", marks=pytest.mark.slow),
    ],
)
def test_an_export_is_a_checkpoint_like_any_other(
    options: tuple[str, ...], module: str, checkpoint: Path, spoken_corpus: Path, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip(module, reason="needs the extra 'export'")
    if "int8" in options:
        monkeypatch.setattr(export_command, "MIN_AGREEMENT", 0.5)  # random weights decide by a hair
    out = tmp_path / "exported"
    assert export(checkpoint, out, spoken_corpus, *options) == 0
    assert not (out / "unfinished").exists()
    assert not (out / "model.safetensors").exists()
    backend, plain = (
        load_backend("wav2vec2", str(out)),
        load_backend("wav2vec2", str(checkpoint), options={"runtime": "torch"}),
    )
    assert (backend.operating_point, backend.num_parameters) == (plain.operating_point, plain.num_parameters)
    assert read_split_card(out) == read_split_card(checkpoint)
    comparison = json.loads((out / "export.json").read_text())["comparison"]
    validation = make_split(load_corpus(str(spoken_corpus)).clips).validation
    waveforms = [clip.waveform() for clip in validation]
    difference = np.abs(backend.logits(waveforms) - plain.logits(waveforms)).max()
    assert comparison["max_logit_difference"] == pytest.approx(difference, rel=0.05, abs=1e-3)
    assert comparison["validation_clips"] == len(validation)
    assert comparison["time_ratio"] == pytest.approx(comparison["exported_ms"] / comparison["pytorch_ms"])
    if "--precision" not in options:
        assert difference < 1e-3
        assert comparison["label_agreement"] == 1.0
    assert "| max logit difference |" in (out / "README.md").read_text()


def test_calibration_hears_training_clips_only(
    checkpoint: Path, spoken_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    split = export_command._training_split(checkpoint, str(spoken_corpus))
    monkeypatch.setattr(
        type(split.train[0]), "waveform", lambda clip: heard.append(clip.clip_id) or np.ones(8000)
    )
    export_command._calibration(export_command.read_encoder_checkpoint(checkpoint), split.train)
    assert heard
    assert set(heard) <= {clip.clip_id for clip in split.train}


def test_an_export_that_answers_otherwise_is_not_written(
    checkpoint: Path, spoken_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(export_command, "MIN_AGREEMENT", 1.1)
    assert export(checkpoint, tmp_path / "out", spoken_corpus, "--format", "onnx") == 2
    assert "nothing was written" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "onnx", "--precision", "bf16"), "onnxruntime has no precision bf16"),
        (("--format", "onnx", "--dataset", "OTHER"), "Name the same corpus"),
    ],
)
def test_mistakes_end_with_one_sentence(
    options: tuple[str, ...], message: str, checkpoint: Path, spoken_corpus: Path, tmp_path: Path, capsys
) -> None:
    other = tmp_path / "other"
    shutil.copytree(spoken_corpus, other)
    next(other.glob("0_*_0.wav")).unlink()
    words = [str(other) if word == "OTHER" else word for word in options]
    assert export(checkpoint, tmp_path / "out", spoken_corpus, *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_split_card_is_refused(
    checkpoint: Path, spoken_corpus: Path, tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "foreign"
    shutil.copytree(checkpoint, folder)
    (folder / "split_card.json").unlink()
    assert export(folder, tmp_path / "out", spoken_corpus, "--format", "onnx") == 2
    assert "has no split_card.json" in capsys.readouterr().err
