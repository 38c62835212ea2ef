"""The command from its options to its files, over fakes."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest

from benchmarks import report
from benchmarks.records.files import read_records, read_run
from benchmarks.records.measurements import TimedCall
from benchmarks.records.run_record import Settings
from benchmarks.run.__main__ import main
from benchmarks.run.checkpoints import FITTED
from finetune.checkpoint.split_card import SplitCard
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from tests.conftest import PROJECT

Benchmark = Callable[..., tuple[int, Path]]


def entries(folder: Path) -> dict[str, "pd.Series[object]"]:
    rows = json.loads((folder / "summary.json").read_text())["tables"]["main"]["rows"]
    frame = pd.DataFrame(rows)
    return {entry["backend"]: entry for _, entry in frame.iterrows()}


def flags_of(entry: "pd.Series[object]") -> set[str]:
    """What is remarked of a row, but for how busy the machine was."""
    return set(str(entry["flags"]).split(", ")) - {"", "ms unreliable"}


def test_one_good_one_constant_one_writer_one_missing(
    benchmark: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--rounds", "72")
    code, folder = benchmark("Perfect", "Constant", "Writer", "Missing", options=options, pictures=True)
    assert code == 0
    table = entries(folder)
    assert list(table) == ["perfect", "constant", "writer", "missing"]

    assert table["perfect"][["status", "answered", "accuracy", "unmapped"]].tolist() == ["ok", 60, 1.0, 0.0]
    assert table["constant"]["accuracy"] == pytest.approx(0.1)
    assert pd.isna(table["constant"]["parameters"])
    # Its own labels are all wrong; the text counts, and "to" is no digit.
    assert table["writer"][["accuracy", "unmapped"]].tolist() == [0.9, 0.1]
    assert flags_of(table["writer"]) == {"zero-shot"}
    for name in ("perfect", "constant", "writer"):
        assert 0 < table[name]["p50_ms"] <= table[name]["p95_ms"]
        assert pd.isna(table[name]["p99_ms"])
        assert table[name]["peak_rss_bytes"] > 10e6
        assert table[name]["load_seconds"] > 0
        assert table[name]["macs_second"] == 16_000
    assert table["missing"]["status"] == "unavailable"
    assert table["missing"][["accuracy", "answered", "p50_ms"]].isna().all()
    assert "Fetch them: fetch weights" in table["missing"]["reason"]

    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines())) <= report.SCREEN_WIDTH
    assert "Fetch them: fetch weights" in screen
    assert "zero-shot" in screen
    markdown = (folder / "summary.md").read_text()
    assert re.search(r'\| writer +\| official +\| " To\." +\| +6 \|', markdown)
    assert "the speakers of the test are those of the training part" in markdown
    assert (folder / "plots" / "accuracy_latency.png").is_file()
    assert read_run(folder).run.environment.threads_per_backend == 1

    records = read_run(folder)
    answers = list(records.answers())
    assert len(answers) == 180
    texts = {record.hypothesis for record in answers if record.clip == "2_ann_0"}
    assert texts == {None, " To."}
    assert len(records.latency) == 3 * 72
    assert [record.backend for record in records.footprint] == ["perfect", "constant", "writer"]
    assert not [path for path in folder.rglob("*") if ".part" in path.name]


@pytest.mark.parametrize("class_name", ["Crash", "Hang", "NotANumber"])
def test_a_backend_that_fails_does_not_stop_the_others(
    benchmark: Benchmark, class_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "__init__", partialmethod(Settings.__init__, clip_timeout_s=2.0))
    code, folder = benchmark(class_name, "Perfect", options=("--phases", "accuracy"))
    table = entries(folder)
    assert table["perfect"]["status"] == "ok"
    assert code == 3
    failed = table[class_name.lower()]
    assert failed["status"] == "failed"
    assert pd.isna(failed["accuracy"])
    (entry, _) = read_run(folder).run.backends
    assert entry.failures
    assert "clip" in (entry.reason or "")


@pytest.mark.parametrize(("class_name", "kind"), [("Raises", "error"), ("OutOfMemory", "oom")])
def test_single_errors_are_recorded_and_the_rest_goes_on(
    benchmark: Benchmark, class_name: str, kind: str
) -> None:
    code, folder = benchmark(class_name, options=("--phases", "accuracy"))
    kinds = [record.status for record in read_run(folder).answers()]
    assert (code, kinds.count("ok"), kinds.count(kind)) == (0, 54, 6)
    (entry,) = read_run(folder).run.backends
    assert {failure.kind for failure in entry.failures} == {kind}


def test_a_dead_backend_is_started_again_once(benchmark: Benchmark) -> None:
    _, folder = benchmark("Crash", options=("--phases", "accuracy"))
    kinds = [record.status for record in read_run(folder).answers()]
    assert kinds.count("crash") == 2
    assert kinds[-1] == "crash"
    assert kinds.count("ok") > 10


def test_a_late_failure_keeps_what_was_complete(benchmark: Benchmark) -> None:
    options = ("--limit", "25", "--rounds", "20", "--phases", "accuracy", "latency")
    code, folder = benchmark("LateCrash", "Offline", options=options)
    assert code == 3
    entry = entries(folder)["latecrash"]
    assert entry[["status", "answered", "accuracy"]].tolist() == ["failed", 25, 1.0]
    assert "exit code 9" in (entry.reason or "")
    assert entries(folder)["offline"]["accuracy"] == 1.0
    timed = [record.backend for record in read_records(folder / "latency.jsonl", TimedCall)]
    assert timed.count("latecrash") < 10
    assert timed.count("offline") == 20


def test_nothing_measured_has_its_own_exit_code(
    benchmark: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    code, folder = benchmark("Missing", "Broken", pictures=True)
    assert code == 4
    assert "make model" in capsys.readouterr().out
    assert not (folder / "plots" / "accuracy_latency.png").exists()


def test_an_earlier_run_is_replaced_only_on_request(
    benchmark: Benchmark, corpus_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = benchmark("Perfect")
    made = (folder / "run.json").read_bytes()
    capsys.readouterr()
    command = json.loads(made)["command"]
    assert f"--dataset <{corpus_folder.name}> --out <{folder.name}>" in command
    arguments = ["--backends", "perfect", "--dataset", str(corpus_folder), "--out", str(folder)]
    assert main(arguments) == 2
    assert "--resume to measure what it lacks, --fresh to replace it" in capsys.readouterr().err
    assert (folder / "run.json").read_bytes() == made
    code, _ = benchmark("Constant")
    assert code == 0
    assert list(entries(folder)) == ["constant"]
    assert {answer.backend for answer in read_run(folder).answers()} == {"constant"}


def test_a_clip_that_cannot_be_decoded_leaves_no_folder(
    benchmark: Benchmark, corpus_folder: Path, tmp_path: Path
) -> None:
    recordings = tmp_path / "recordings"
    copytree(corpus_folder, recordings)
    (recordings / "3_bob_1.wav").write_bytes(b"no sound")
    code, folder = benchmark("Perfect", options=("--dataset", str(recordings)))
    assert code == 2
    assert not folder.exists()


def test_results_go_to_the_current_folder(
    fakes: Callable[..., list[str]],
    corpus_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--dataset", str(corpus_folder), "--rounds", "1", "--limit", "10"]
    assert main(["--backends", *fakes("Perfect"), *options]) == 0
    (folder,) = (tmp_path / "results").iterdir()
    assert f"Written to results/{folder.name}\n" in capsys.readouterr().out


def test_small_samples_are_called_small_everywhere(
    benchmark: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = benchmark("Perfect", options=("--limit", "10"))
    entry = entries(folder)["perfect"]
    assert entry[["answered", "test_clips"]].tolist() == [10, 60]
    assert "subset" in entry["flags"]
    assert entry["p50_ms"] > 0
    assert pd.isna(entry["p95_ms"])
    for table in (capsys.readouterr().out, (folder / "summary.md").read_text()):
        assert "A SUBSET of 60" in " ".join(table.split())
        assert "p95 needs 72 timed calls" in table


@pytest.fixture
def leaky_checkpoint(corpus_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint trained without the speaker ann, which is no help against the official split."""
    corpus = load_corpus(str(corpus_folder))
    folder = tmp_path / "leaky"
    folder.mkdir()
    SplitCard.from_split(corpus, make_split(corpus.clips, "loso", fold="ann")).write(folder)
    return folder


def test_a_leak_is_refused_before_anything_is_measured(
    benchmark: Benchmark, leaky_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, folder = benchmark("Perfect", checkpoint=str(leaky_checkpoint))
    assert code == 2
    assert not folder.exists()
    message = capsys.readouterr().err
    assert "was trained on 40 of the clips" in message
    assert "--allow-leak" in message


def test_an_allowed_leak_is_marked_in_every_table(
    benchmark: Benchmark, leaky_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--allow-leak",)
    code, folder = benchmark("Perfect", checkpoint=str(leaky_checkpoint), options=options, pictures=True)
    assert code == 0
    _, first_picture, *_ = (folder / "report.html").read_text().split("<svg ")
    summaries = (path.read_text() for path in folder.glob("summary.*"))
    for table in (capsys.readouterr().out, *summaries, first_picture.split("</svg>")[0]):
        assert "LEAK of 40 clips" in table


def test_the_right_split_of_that_checkpoint_is_no_leak(benchmark: Benchmark, leaky_checkpoint: Path) -> None:
    # Without times, which a busy machine makes unreliable and marks.
    options = ("--protocol", "loso", "--fold", "ann", "--phases", "accuracy")
    code, folder = benchmark("Perfect", checkpoint=str(leaky_checkpoint), options=options)
    assert code == 0
    entry = entries(folder)["perfect"]
    assert entry["answered"] == 50
    assert flags_of(entry) == set()


def test_stand_in_weights_are_never_taken_for_a_result(
    benchmark: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = tmp_path / "toy"
    toy.mkdir()
    (toy / "fixture.json").write_text('{"fixture": "toy trained on digits"}')
    code, folder = benchmark("Writer", checkpoint=str(toy))
    assert code == 2
    assert not folder.exists()
    assert "--allow-fixture" in capsys.readouterr().err
    options = ("--allow-fixture", "--phases", "accuracy")
    _, folder = benchmark("Writer", checkpoint=str(toy), options=options)
    assert flags_of(entries(folder)["writer"]) == {"FIXTURE"}
    for table in (capsys.readouterr().out, (folder / "summary.md").read_text()):
        assert "FIXTURE: writer is a stand-in and no result: toy trained on digits" in " ".join(table.split())


@pytest.mark.parametrize("note", ["{}", "[]", '{"fixture": " "}', '{"fixture": 1}'])
def test_a_fixture_note_without_its_text_is_refused(
    benchmark: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str], note: str
) -> None:
    (tmp_path / "fixture.json").write_text(note)
    code, folder = benchmark("Perfect", checkpoint=str(tmp_path))
    assert code == 2
    assert not folder.exists()
    assert 'has no text under "fixture"' in capsys.readouterr().err


def test_the_plan_is_printed_and_nothing_is_written(
    benchmark: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--plan", "--phases", "accuracy", "robustness", "--protocol", "official", "--budget", "1s")
    code, folder = benchmark("Slow", "Missing", options=options)
    assert code == 0
    assert not folder.exists()
    plan = capsys.readouterr().out
    assert "slow  official  clean  60 clips" in plan
    assert "accuracy: about" in plan
    assert "missing: skipped: the weights are not here. Fetch them: fetch weights" in plan
    assert "conditions left out: clean@8kHz, rejection" in plan
    assert "no clip is left out" in plan


def test_a_plan_fits_nothing(
    benchmark: Benchmark,
    corpus_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = load_corpus(str(corpus_folder))
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    SplitCard.from_split(corpus, make_split(corpus.clips, "official")).write(shipped)
    monkeypatch.setitem(FITTED, "perfect", "mfcc-svm")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ("--plan", "--phases", "accuracy", "--protocol", "loso")
    code, _ = benchmark("Perfect", options=options, checkpoint=str(shipped))
    assert code == 0
    told = capsys.readouterr()
    assert "perfect  loso  clean  150 clips" in told.out
    assert "perfect  loso: fitted for each held-out speaker before" in told.out
    assert "fitting" not in told.err
    assert not (tmp_path / "cache").exists()


START_WITH_FAKES = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # Ignored where tests run in the background.
from benchmarks.run.__main__ import main
from inference.backends.table import BACKENDS
from tests.benchmarks.fakes import fake_spec
for name in ("Perfect", "Hang"):
    BACKENDS[name.lower()] = fake_spec(name)
raise SystemExit(main(sys.argv[1:]))
"""


def test_interruption_keeps_what_is_complete(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    options = ["--backends", "perfect", "hang", "--dataset", str(corpus_folder), "--out", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", START_WITH_FAKES, *options], cwd=PROJECT, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "hang: size and memory" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "is kept in" in errors
    assert json.loads((folder / "run.json").read_text())["complete"] is False
    table = entries(folder)
    assert {entry["status"] for entry in table.values()} == {"interrupted"}
    assert table["perfect"]["peak_rss_bytes"] > 10e6
    assert pd.isna(table["hang"]["peak_rss_bytes"])
    assert "INTERRUPTED" in (folder / "summary.md").read_text()
