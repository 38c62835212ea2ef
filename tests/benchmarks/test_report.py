"""What the captions claim, on records made by hand."""

from typing import Any

import pytest

from benchmarks.report import captions
from benchmarks.summary import summarise


def records_of(speakers: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "backend": "mfcc",
            "status": "ok",
            "speaker": speaker,
            "reference": "7",
            "label": label,
            "hypothesis": None,
        }
        for speaker in speakers
        for label in ("7", "7", "1" if speaker == "ann" else "7")
    ]


def run_of(protocol: str, clips: int, **changes: Any) -> dict[str, Any]:
    run = {
        "run": "r1",
        "command": "python -m benchmarks.run",
        "dataset": "fsdd",
        "dataset_description": "clips",
        "protocol": protocol,
        "fold": None,
        "split_caption": protocol,
        "fingerprint": "0" * 16,
        "test_clips": clips,
        "measured_clips": clips,
        "mapping_version": "an older one",
        "settings": {"seed": 0, "rounds": 72, "threads": 1},
        "complete": True,
        "backends": [
            {
                "backend": "mfcc",
                "status": "ok",
                "leaked_clips": 0,
                "trained_on": "fsdd",
                "fixture": None,
                "zero_shot": False,
            }
        ],
    }
    return {**run, **changes}


@pytest.mark.parametrize(
    ("protocol", "speakers", "method", "claim"),
    [
        ("official", ("ann", "bob"), "Wilson", "nothing of new voices"),
        ("loso", ("ann",), "Wilson", "nothing of other voices"),
        ("speaker-disjoint", ("ann",), "Wilson", "nothing of other voices"),
        ("speaker-disjoint", ("ann", "bob"), "t over speakers", "2 new voices"),
        ("speaker-disjoint", ("bob", "cat"), "Clopper-Pearson", "2 new voices"),
    ],
)
def test_the_interval_and_its_reach_fit_the_split(
    protocol: str, speakers: tuple[str, ...], method: str, claim: str
) -> None:
    summary = summarise(run_of(protocol, 3 * len(speakers)), records_of(speakers), [])
    assert summary.frame["interval_method"].tolist() == [method]
    text = " ".join(captions(summary))
    assert method in text
    assert claim in text


def test_a_checkpoint_of_another_corpus_is_marked() -> None:
    summary = summarise(run_of("official", 3, dataset="synthetic"), records_of(("ann",)), [])
    assert summary.frame["flags"].tolist() == ["trained on fsdd"]
    text = " ".join(captions(summary))
    assert "learned from another corpus" in text
    assert "Same speakers as in training" not in text


def test_another_mapping_than_at_the_run_is_said() -> None:
    summary = summarise(run_of("official", 3), records_of(("ann",)), [])
    assert "an older one at the run" in captions(summary)[-1]


def test_incomplete_answers_give_no_accuracy() -> None:
    summary = summarise(run_of("official", 4), records_of(("ann",)), [])
    assert summary.frame["n"].tolist() == [3]
    assert summary.frame["accuracy"].isna().all()
