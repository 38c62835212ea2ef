import re

import pytest
import yaml

from finetune.checkpoint.model_card import model_card
from finetune.checkpoint.split_card import SplitCard
from inference.prediction import OperatingPoint

FIGURES = {"test_clips": 300, "test_accuracy": 0.99, "test_macro_f1": 0.9899, "parameters": 1234}


def card(corpus: str = "fsdd", operating_point: OperatingPoint | None = None) -> str:
    split = SplitCard(
        corpus, "official", 7, None, ("ann",), ("ann",), ("ann",), "abc", frozenset({"1_ann_3"}), 40
    )
    return model_card(
        "A model", "python -m x", "10 clips", "official: saturated", split, FIGURES, "Notes.", operating_point
    )


def test_header_is_what_the_hub_reads() -> None:
    header = yaml.safe_load(card().split("---")[1])
    assert header["pipeline_tag"] == "audio-classification"
    assert header["license"] == "apache-2.0"
    (result,) = header["model-index"][0]["results"]
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        "accuracy": 0.99,
        "f1": 0.9899,
    }
    assert yaml.safe_load(card(corpus="mine").split("---")[1])["license"] == "other"


def test_accuracy_carries_its_interval() -> None:
    assert "| test accuracy | 0.99 | 0.971 to 0.997 |" in card()
    assert "| parameters | 1234 |  |" in card()


@pytest.mark.parametrize("part", ["seed 7", "40 clips of synthetic voices", "python -m x", "CC BY-SA", "abc"])
def test_provenance_is_told(part: str) -> None:
    assert part in card()


def test_limits_tell_whether_anything_is_refused() -> None:
    assert "any sound is answered" in card()
    assert "any sound is answered" in card(operating_point=OperatingPoint(1.0, None))
    text = re.sub(r"\s+", " ", card(operating_point=OperatingPoint(1.5, 0.62, 0.02, 0.04, 500, 300)))
    assert "any sound is answered" not in text
    assert "2.0% of 500 digits" in text
    assert "4.0% of 300 sounds" in text
