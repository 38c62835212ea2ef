"""Limits that are kept, missed and straddled."""

from functools import cache
from pathlib import Path

import pytest

from benchmarks.gate import main
from benchmarks.reports import report_tables
from tests.benchmarks.made_run import make_run

READ_ONCE = cache(report_tables.read_report)


@pytest.fixture(autouse=True)
def reads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run is read for every limit."""
    monkeypatch.setattr(report_tables, "read_report", READ_ONCE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("gate") / "run")


def verdicts(
    made: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[str]]:
    limits = tmp_path / "limits.toml"
    limits.write_text(text)
    code = main([str(made), str(limits)])
    return code, [line.split()[0] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("limits", "code", "words"),
    [
        ("loso_acc_min = 0.6", 0, ["pass"]),
        ("loso_acc_min = 0.999", 1, ["fail"]),
        ("loso_acc_min = 0.873", 1, ["undecided"]),
        ("official_acc_min = 0.5\nmodel_mb_max = 2\npeak_rss_mb_max = 10", 1, ["pass", "pass", "fail"]),
        ("loso_acc_min = 0.999\np95_ms_max = 100", 1, ["fail", "invalid"]),
        ("loso_acc_min = 0.6\np95_ms_max = 100\nratio_max = 1.0", 0, ["pass", "pass", "pass"]),
        ("p95_ms_max = 0.1", 1, ["fail"]),
        ('non_inferior_to = "wav2vec2"', 1, ["fail"]),
        ('non_inferior_to = "wav2vec2"\nmargin_pp = 90', 0, ["pass"]),
        ("robust_10db_min = 0.5", 0, ["pass"]),
        ("unmapped_max = 0.0", 1, ["fail"]),
    ],
)
def test_verdicts(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limits: str, code: int, words: list[str]
) -> None:
    assert verdicts(made, tmp_path, f"[backends.mfcc]\n{limits}\n", capsys) == (code, words)


def test_the_file_says_how_undecided_counts(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'undecided = "pass"\n[backends.mfcc]\nloso_acc_min = 0.873\n'
    assert verdicts(made, tmp_path, text, capsys) == (0, ["undecided"])


def test_milliseconds_of_other_hardware_decide_nothing(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'hw = "other"\n[backends.mfcc]\np95_ms_max = 100\n'
    assert verdicts(made, tmp_path, text, capsys) == (1, ["undecided"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected tables [backends.NAME]"),
        ("speed = 3\n[backends.mfcc]\nratio_max = 1", "found speed"),
        ("not toml", "cannot be read as TOML"),
        ("[backends.mfcc]\nfast = 1", "backends.mfcc.fast is no limit; choose of: <protocol>_acc_min"),
        ("[backends.mfcc]\nratio_max = 'x'", "expected a number"),
        ("[backends.mfcc]\nnon_inferior_to = 3", "expected the name of a row"),
        ("[backends.nobody]\nratio_max = 1", "has no row nobody"),
        ("[backends.mfcc]\nnowhere_acc_min = 1", "has no protocol nowhere"),
        ('undecided = "maybe"\n[backends.mfcc]\nratio_max = 1', "expected 'pass' or 'fail'"),
        ("[backends]\nmfcc = 3", "is no table"),
    ],
)
def test_broken_files_are_explained(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text(text)
    assert main([str(made), str(limits)]) == 2
    assert message in capsys.readouterr().err
