"""The report of made-up records: figures by hand, the same bytes twice, honest gaps, and what it refuses."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from benchmarks.records.files import ANSWERS_FILE
from benchmarks.report import README_END, README_START, main, readme_section, with_results, write_report
from benchmarks.reports import formats
from benchmarks.reports.pictures import draw
from benchmarks.reports.report_tables import Report, read_report
from benchmarks.reports.scores import of_condition
from inference.vocabulary import DIGITS
from tests.benchmarks.made_run import (
    BACKENDS,
    SPEAKERS,
    TAKES,
    edited,
    make_run,
    read_lines,
    write_lines,
)
from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("made") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def report(made: Path) -> Report:
    return read_report(made)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [
        *folder.glob("summary.*"),
        *folder.glob("report.html"),
        *folder.glob("plots/*"),
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_the_same_records_give_the_same_bytes_in_another_process(made: Path, tmp_path: Path) -> None:
    again = make_run(tmp_path / "again")
    (again / "plots").mkdir()
    (again / "plots" / "of_an_earlier_report.png").touch()
    subprocess.run(
        [sys.executable, "-m", "benchmarks.report", str(again)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        timeout=300,
        env={"PATH": "/usr/bin", "PYTHONHASHSEED": "7", "PYTHONPATH": str(PROJECT), "HOME": str(tmp_path)},
    )
    first, second = files_of(made), files_of(again)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert len(first) == 6


def test_no_model_library_is_imported(made: Path) -> None:
    code = (
        "import sys; from benchmarks.reports.report_tables import read_report; from pathlib import Path\n"
        f"read_report(Path({str(made)!r}))\n"
        "assert not {'torch', 'transformers', 'onnxruntime', 'faster_whisper'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=300)


def test_figures_of_the_main_table_are_those_of_the_records(report: Report) -> None:
    table = report.tables["main"].frame.set_index("backend")
    assert list(table.index) == list(BACKENDS)
    lines = list(report.records.answers())
    for backend in ("mfcc", "wav2vec2"):
        means = []
        for speaker in SPEAKERS:
            asked = [
                line
                for line in lines
                if (line.backend, line.protocol, line.condition, line.speaker)
                == (backend, "loso", "clean", speaker)
            ]
            assert len(asked) == TAKES * len(DIGITS.labels)
            means.append(np.mean([line.label == line.reference for line in asked]))
        row = table.loc[backend]
        assert row["accuracy"] == pytest.approx(np.mean(means))
        # t(.975, 5) = 2.570582
        width = 2.570582 * np.std(means, ddof=1) / 6**0.5
        assert row["accuracy_high"] == pytest.approx(min(1.0, np.mean(means) + width))
        assert row["worst_speaker_accuracy"] == pytest.approx(min(means))
        times = [line.t_ns["e2e"] / 1e6 for line in report.records.latency if line.backend == backend]
        assert row["p50_ms"] == pytest.approx(np.median(times[:80]))
    assert table.loc["wav2vec2", "ratio"] == pytest.approx(7.0 / 1.6, rel=0.03)
    assert table.loc["mfcc", "ratio"] == 1.0
    assert table.loc["mfcc", "macs_second"] == int(1.6 * 2e6)
    assert pd.isna(table.loc["mfcc", "p99_ms"])
    assert table.loc["whisper:decode=constrained", "flags"] == "zero-shot"


def test_text_is_mapped_again_and_only_where_there_is_text(report: Report) -> None:
    answers = of_condition(report.answers, "whisper:decode=constrained", "loso")
    unmapped = answers[answers["hypothesis"] == "thank you"]
    assert len(unmapped) > 0
    assert unmapped["label"].isna().all()
    assert not unmapped["correct"].any()


def test_confusion_counts_every_clip_once(report: Report) -> None:
    table = report.tables["confusion"].frame
    for _, rows in table.groupby(["backend", "protocol"]):
        assert rows[[*DIGITS.labels, "none"]].to_numpy().sum() == len(DIGITS.labels) * len(SPEAKERS) * TAKES
        assert (rows[[*DIGITS.labels, "none"]].sum(axis=1) == len(SPEAKERS) * TAKES).all()


def test_stages_and_the_rest_sum_to_the_whole(report: Report) -> None:
    table = report.tables["stages"].frame
    parts = table[["features", "model", "post", "other"]].sum(axis=1)
    assert parts.to_numpy(dtype=float) == pytest.approx(table["total"].to_numpy(dtype=float))


def test_pairs_are_tested_over_new_speakers_and_allow_for_their_number(report: Report) -> None:
    table = report.tables["pairs"].frame
    loso = table[table["protocol"] == "loso"]
    assert (loso["holm_p"] >= loso["t_p"]).all()
    assert loso["holm_p"].min() == pytest.approx(3 * loso["t_p"].min())
    official = table[table["protocol"] == "official"]
    assert official["t_p"].isna().all()
    assert official["mcnemar_p"].notna().all()
    assert "not resolvable with 6 speakers" in " ".join(report.tables["pairs"].notes)


def test_robustness_change_is_against_the_same_clips(report: Report) -> None:
    row = report.tables["robustness"].frame.set_index(["backend", "condition"]).loc[("mfcc", "white@0")]
    heard = of_condition(report.answers, "mfcc", "loso", "white@0")
    clean = of_condition(report.answers, "mfcc", "loso")
    clean = clean[clean["clip"].isin(set(heard["clip"]))]
    assert row["clips"] == len(heard) == len(clean) == 60
    expected = heard.groupby("speaker")["correct"].mean() - clean.groupby("speaker")["correct"].mean()
    assert row["change"] == pytest.approx(expected.mean())
    assert row["snr_db"] == 0.0


def test_every_dash_has_a_reasoned_footnote(made: Path) -> None:
    sections = (made / "summary.md").read_text().split("\n## ")
    assert len(sections) > 10
    for text in sections:
        marks = {int(mark) for mark in re.findall(r"-\[(\d+)\] *\|", text)}
        notes = {int(note) for note in re.findall(r"^- \[(\d+)\] \S", text, flags=re.MULTILINE)}
        assert marks == notes, text[:100]
        assert "| nan" not in text.lower()


def test_the_page_asks_for_nothing_and_tells_its_pictures(made: Path) -> None:
    text = (made / "report.html").read_text()
    assert not re.search(r'(src|href|srcset|data)="(?!#|data:)', text)
    assert not re.search(r"@import|url\((?!#)", text)
    told = re.findall(r'role="img" aria-label="([^"]*)"', text)
    assert len(told) == text.count("<svg ") == 3
    assert all("%" in alt or "ms" in alt for alt in told)


def test_pictures_are_well_formed_and_described(report: Report) -> None:
    pictures = draw(report)
    assert len(pictures) == 3
    for picture in pictures:
        assert ElementTree.fromstring(picture.svg().decode()).tag.endswith("svg")
        assert b"description" in picture.svg()
        assert picture.png().startswith(b"\x89PNG")


def test_readme_gets_the_table_between_its_markers(report: Report) -> None:
    before = f"before\n{README_START}\nearlier table\n{README_END}\nafter\n"
    text = with_results(before, readme_section(report))
    assert text.startswith(f"before\n{README_START}\nShip **wav2vec2**, ")
    assert text.endswith(f"{README_END}\nafter\n")
    assert "earlier table" not in text
    (heads,) = (line for line in text.splitlines() if line.startswith("| backend "))
    assert [head.strip() for head in heads.strip("|").split("|")] == [
        "backend",
        "new speakers %",
        "median ms",
        "p95 ms",
        "model MB",
        "memory MB",
    ]
    assert "- zero-shot: whisper:decode=constrained." in text
    assert with_results(text, readme_section(report)) == text


@pytest.mark.parametrize(
    ("readme", "message"),
    [("nothere.md", "cannot be read"), (".", "cannot be read"), ("plain.md", "expected the lines")],
)
def test_a_readme_is_checked_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], readme: str, message: str
) -> None:
    folder = make_run(tmp_path / "run")
    (tmp_path / "plain.md").write_text("no markers")
    assert main([str(folder), "--readme", str(tmp_path / readme)]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "summary.md").exists()


def as_fixture(run: Any) -> None:
    run["backends"][1]["fixture"] = "random weights"


def test_stand_in_weights_are_refused_or_watermarked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = edited(make_run(tmp_path / "run"), "run.json", as_fixture)
    assert main([str(folder)]) == 2
    error = capsys.readouterr().err
    assert "wav2vec2" in error
    assert "--allow-fixture" in error
    assert not (folder / "summary.md").exists()
    assert main([str(folder), "--allow-fixture"]) == 0
    for path in (folder / "summary.md", folder / "report.html"):
        assert "FIXTURE, no results" in path.read_text(), path
    pictures = (folder / "report.html").read_text().split("<svg ")[1:]
    assert ["</svg>" in text and ">FIXTURE<" in text.split("</svg>")[0] for text in pictures] == [True] * 3
    assert json.loads((folder / "summary.json").read_text())["fixture"] is True


def test_a_backend_that_could_not_run_keeps_its_row_and_reason(tmp_path: Path) -> None:
    def unavailable(run: Any) -> None:
        run["backends"][2] |= {"status": "unavailable", "reason": "no weights | here", "fix": "Fetch them"}

    folder = make_run(tmp_path / "run")
    for path in folder.glob("*.jsonl*"):
        write_lines(path, [line for line in read_lines(path) if not line["backend"].startswith("whisper")])
    made = read_report(edited(folder, "run.json", unavailable))
    text = "\n".join(formats.markdown(made.tables["main"]))
    assert "no weights | here. Fetch them" in text
    assert "unavailable" in text
    assert made.tables["failures"].frame["what"].tolist() == ["no weights | here"]


def test_clips_without_an_answer_are_outside_the_accuracy_and_bounded(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    path = folder / ANSWERS_FILE
    lines = read_lines(path)
    kind = ("mfcc", "loso", "clean")
    loso = [line for line in lines if (line["backend"], line["protocol"], line["condition"]) == kind]
    for line in loso[:13]:
        line |= {"status": "timeout", "label": None, "score": None, "error": "too slow"}
    write_lines(path, lines)
    made = read_report(folder)
    row = made.tables["accuracy"].frame.set_index(["backend", "protocol"]).loc[("mfcc", "loso")]
    assert (row["answered"], row["errors"]) == (len(loso) - 13, 13)
    assert row["accuracy_errors_wrong"] < row["accuracy"]
    assert "some clips without answer" in made.tables["main"].frame["flags"][0]


def test_incomplete_answers_give_no_accuracy(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    path = folder / ANSWERS_FILE
    lines = read_lines(path)
    kinds = [(line["backend"], line["protocol"], line["condition"]) for line in lines]
    last = kinds.index(("mfcc", "loso", "clean"))
    write_lines(path, lines[:last] + lines[last + 1 :])
    row = read_report(folder).tables["main"].frame.set_index("backend").loc["mfcc"]
    assert pd.isna(row["accuracy"])
    assert not pd.isna(row["accuracy_official"])


def test_a_run_of_one_phase_still_gives_a_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    for name in ("latency", "cold", "loads", "footprint"):
        (folder / f"{name}.jsonl").unlink()
    write_report(folder)
    assert "cold starts were not measured" in (folder / "summary.md").read_text()
    assert {path.stem for path in (folder / "plots").glob("*.png")} == {"confusion", "snr"}


def test_another_mapping_than_at_the_run_is_said(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", rounds=2, mapping_version="older")
    notes = " ".join(read_report(folder).tables["main"].notes)
    assert "older at the run" in notes
    assert "0 answers changed" in notes
