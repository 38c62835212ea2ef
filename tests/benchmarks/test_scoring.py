"""Scores of answers, checked against scikit-learn and by hand."""

import random

import pytest
from sklearn.metrics import f1_score

from benchmarks.scoring import Answer, read_answer, score
from finetune.metrics import macro_f1
from inference.labels import LABELS


def test_macro_f1_agrees_with_scikit_learn() -> None:
    generator = random.Random(0)
    answers = [
        Answer(generator.choice(LABELS[:7]), generator.choice([*LABELS, None]), "ann") for _ in range(200)
    ]
    references = [answer.reference for answer in answers]
    labels = [answer.label or "none" for answer in answers]
    expected = f1_score(references, labels, labels=list(LABELS[:7]), average="macro")
    assert macro_f1([answer.label for answer in answers], references) == pytest.approx(expected)


def test_no_digit_is_an_error_and_counted_apart() -> None:
    scores = score([Answer("1", "1", "ann"), Answer("2", None, "ann", " To.")], speakers_are_the_unit=False)
    assert (scores.accuracy, scores.unmapped) == (0.5, 1)
    assert scores.unmapped_hypotheses == ((" To.", 1),)
    assert scores.interval.method == "Wilson"


def test_new_speakers_count_equally_however_many_clips_they_have() -> None:
    answers = [Answer("1", "1", "ann")] * 9 + [Answer("1", "2", "bob")]
    scores = score(answers, speakers_are_the_unit=True)
    assert scores.accuracy == 0.5
    assert scores.interval.method == "t over speakers"
    assert score(answers, speakers_are_the_unit=False).accuracy == 0.9


def test_speakers_without_any_difference_fall_back_to_the_exact_interval() -> None:
    answers = [Answer("1", "1", "ann"), Answer("1", "1", "bob")]
    interval = score(answers, speakers_are_the_unit=True).interval
    assert interval.method == "Clopper-Pearson"
    assert interval.low == pytest.approx(0.025**0.5)


def test_stored_text_is_mapped_again_and_stored_labels_of_classifiers_are_kept() -> None:
    record = {"reference": "7", "speaker": "ann", "label": "1", "hypothesis": " Seven."}
    assert read_answer(record).label == "7"
    assert read_answer({**record, "hypothesis": None}).label == "1"
