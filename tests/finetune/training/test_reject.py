"""A class for what is no digit: eleven outputs, an operating point, closed-set figures beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from finetune import train
from finetune.training import data
from inference.backends.table import load_backend
from inference.checkpoint import read_operating_point
from inference.vocabulary import DIGITS, REJECT_LABEL


def test_reject_class_is_trained_calibrated_and_used(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "MIN_NON_WORDS", 12)
    output_dir = tmp_path / "out"
    words = ["--config", str(config), "--output_dir", str(output_dir), "--max_steps", "1"]
    assert train.main([*words, "--reject", "--reject_share", "0.1"]) == 0
    assert json.loads((output_dir / "labels.json").read_text()) == [*DIGITS.labels, REJECT_LABEL]
    operating_point = read_operating_point(output_dir)
    assert operating_point is not None
    assert operating_point.num_digits == 2 * 40  # in quiet and in noise
    assert operating_point.num_others == 2 * 12
    figures = json.loads((output_dir / "figures.json").read_text())
    assert figures["validation_false_reject_rate"] == operating_point.false_reject_rate
    assert figures["test_non_words"] == 200 // 4
    assert 0 <= figures["validation_rejection_auc"] <= 1
    (prediction,) = load_backend("wav2vec2", str(output_dir)).predict([np.zeros(8000, np.float32)])
    assert prediction.label in DIGITS.labels
    assert 0 < prediction.none_probability < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reject", "--reject_share", "1"], "expected a share above 0 and below 1"),
        (["--non_words", "sounds"], "--non_words goes with --reject"),
    ],
)
def test_reject_options_are_checked(options: list[str], message: str, capsys) -> None:
    assert train.main(options) == 2
    assert message in capsys.readouterr().err
