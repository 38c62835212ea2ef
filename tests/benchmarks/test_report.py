"""What the captions claim, on records made by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.environment import LIBRARIES
from benchmarks.report import ENVIRONMENT_FIELDS, captions, main
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
        "v": 1,
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
    assert "names another corpus" in text
    assert "Same speakers as in training" not in text


def test_another_mapping_than_at_the_run_is_said() -> None:
    summary = summarise(run_of("official", 3), records_of(("ann",)), [])
    assert "an older one at the run" in captions(summary)[-1]


def test_incomplete_answers_give_no_accuracy() -> None:
    summary = summarise(run_of("official", 4), records_of(("ann",)), [])
    assert summary.frame["n"].tolist() == [3]
    assert summary.frame["accuracy"].isna().all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run without its report."""
    folder = tmp_path / "finished"
    folder.mkdir()
    environment = {**dict.fromkeys(ENVIRONMENT_FIELDS), "libraries": dict.fromkeys(LIBRARIES)}
    (folder / "run.json").write_text(json.dumps(run_of("official", 3)))
    (folder / "environment.json").write_text(json.dumps(environment))
    lines = [json.dumps({"v": 1, **record}) for record in records_of(("ann",))]
    (folder / "predictions.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "latency.jsonl").touch()
    return folder


def test_a_complete_folder_gets_its_report(folder: Path) -> None:
    assert main([str(folder)]) == 0
    assert (folder / "summary.md").is_file()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("predictions.jsonl", None, "predictions.jsonl cannot be read"),
        ("latency.jsonl", None, "latency.jsonl cannot be read"),
        ("latency.jsonl", '{"v": 1, "backe', "line 1 of latency.jsonl is not valid JSON"),
        ("predictions.jsonl", '{"v": 1}', "line 1 of predictions.jsonl lacks backend, status"),
        ("predictions.jsonl", '{"v": 0}', "has the record version 0, expected 1"),
        ("environment.json", "{}", "environment.json lacks cpu"),
        ("run.json", "{}", "run.json lacks v, run"),
        ("run.json", "[]", "run.json holds list, expected an object"),
        ("run.json", '{"v": 0}', "run.json has the record version 0"),
    ],
)
def test_incomplete_folders_are_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, message: str
) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    assert main([str(folder)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "python -m benchmarks.run" in error
    assert not (folder / "summary.csv").exists()


@pytest.mark.parametrize(
    ("readme", "message"),
    [("nothere.md", "cannot be read"), (".", "cannot be read"), ("plain.md", "expected the lines")],
)
def test_a_readme_is_checked_before_anything_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], readme: str, message: str
) -> None:
    (tmp_path / "plain.md").write_text("no markers")
    assert main([str(folder), "--readme", str(tmp_path / readme)]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "summary.csv").exists()
