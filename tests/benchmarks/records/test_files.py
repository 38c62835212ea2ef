"""The one checked reader: what is broken in a result folder is named with its place."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import main
from benchmarks.reports.report_tables import read_report
from tests.benchmarks.made_run import edited, make_run, put


def _leave_out(*path: str | int) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("run.json", _leave_out("backends", 0, "protocols"), "backends.0"),
        ("run.json", put([], "backends"), "backends"),
        ("run.json", put("many", "settings", "rounds"), "settings.rounds"),
        (
            "run.json",
            put(1.5, "settings", "rounds"),
            "settings.rounds: Input should be a valid integer, found 1.5",
        ),
        (
            "run.json",
            put(True, "settings", "seed"),
            "settings.seed: Input should be a valid integer, found true",
        ),
        ("run.json", put(None, "backends", 1, "protocols", "loso"), "backends.1.protocols.loso"),
        ("run.json", put({}, "protocols", 0), "protocols.0"),
        ("run.json", put("soon", "conditions", 1, "level"), "conditions.1.level"),
        ("run.json", put(7, "backends", 0, "failures"), "backends.0.failures"),
        ("run.json", put(1, "v"), "record version 1"),
        ("run.json", put([1], "environment", "libraries"), "environment.libraries"),
    ],
)
def test_a_broken_field_is_named_without_a_traceback(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    change: Callable[[Any], None],
    message: str,
) -> None:
    folder = edited(make_run(tmp_path / "run", rounds=2), name, change)
    assert main([str(folder)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert name in error
    assert "python -m benchmarks.run" in error
    assert len(error) < 500


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("latency.jsonl", '{"v": 5, "backend": "mfcc"}', "latency.jsonl: round: Field required"),
        ("latency.jsonl", '{"v": 5, "backe', "not valid JSON"),
        ("latency.jsonl", "[]", "an object, found []"),
        (
            "cold.jsonl",
            '{"v": 5, "backend": "mfcc", "repeat": 0, "seconds": []}',
            "line 16 of cold.jsonl: seconds: Input should be an object, found []",
        ),
        ("answers.jsonl.gz", '{"v": 5, "backend": "mfcc"}', "answers.jsonl.gz: job: Field required"),
        ("answers.jsonl.gz", '{"v": 1}', "record version 1"),
    ],
)
def test_a_broken_line_is_named_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, line: str, message: str
) -> None:
    folder = make_run(tmp_path / "run", rounds=2)
    path = folder / file
    with gzip.open(path, "at") if path.suffix == ".gz" else path.open("a") as lines:
        lines.write(line + "\n")
    assert main([str(folder)]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "run.json cannot be read" in capsys.readouterr().err


def test_unknown_fields_do_not_matter(tmp_path: Path) -> None:
    folder = edited(make_run(tmp_path / "run", rounds=2), "run.json", put({"new": 1}, "backends", 0, "later"))
    assert read_report(folder).tables["main"].frame["accuracy"].notna().all()
