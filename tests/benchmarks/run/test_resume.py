"""Kill, resume and share: the records are those of one undisturbed process, timings excepted."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.run.records import read_run, record_writer, whole_lines
from inference.features import FeatureSettings, num_statistics
from tests.benchmarks.conftest import PROJECT

README = (PROJECT / "inference" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backend that the README shows, in a file outside the project, with templates."""
    (text,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    folder = tmp_path_factory.mktemp("outside")
    (folder / "nearest.py").write_text(text)
    templates = np.random.default_rng(0).normal(size=(10, num_statistics(FeatureSettings())))
    np.save(folder / "templates.npy", templates)
    return folder / "nearest.py"


def start(
    module: Path, corpus: Path, out: Path, *options: str, program: tuple[str, ...] = ("benchmarks.run",)
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", *program, "--backend-module", str(module), "--backends", "nearest"]
    command += ["--checkpoint", f"nearest={module.parent / 'templates.npy'}", "--dataset", str(corpus)]
    command += ["--phases", "accuracy", "--out", str(out), *options]
    return subprocess.Popen(
        command,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    return output


def answers(folder: Path) -> dict[str, list[dict[str, object]]]:
    """File -> records without their times."""
    return {
        str(path.relative_to(folder)): [{**json.loads(line), "t_ns": None} for _, line in whole_lines(path)]
        for path in sorted((folder / "records").rglob("*.jsonl.gz"))
    }


@pytest.fixture(scope="module")
def undisturbed(module: Path, corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run over three folds, in one process."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    table = finish(start(module, corpus_folder, out, "--protocol", "loso", "official"))
    assert "nearest" in table
    return out


def test_a_backend_from_the_readme_is_in_every_record(undisturbed: Path) -> None:
    given = list(read_run(undisturbed).answers())
    assert len(given) == 150 + 60
    assert {record["status"] for record in given} == {"ok"}
    assert {record["fold"] for record in given} == {"ann", "bob", "cat", None}
    assert given[0]["t_ns"].keys() == {"e2e", "cpu", "features", "model"}
    assert "nearest" in (undisturbed / "summary.md").read_text()


@pytest.mark.parametrize("num_lines", [1, 40])
def test_killed_and_resumed(
    undisturbed: Path, module: Path, corpus_folder: Path, tmp_path: Path, num_lines: int
) -> None:
    out = tmp_path / "out"
    process = start(module, corpus_folder, out, "--protocol", "loso", "official")
    part = out / "records" / "nearest" / "loso" / "clean.jsonl.part-0"
    while not part.is_file() or part.read_bytes().count(b"\n") < num_lines:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert json.loads((out / "run.json").read_text())["complete"] is False
    with part.open("a") as torn:
        torn.write('{"v": 3, "unit": "torn')
    output = finish(start(module, corpus_folder, out, "--protocol", "loso", "official", "--resume"))
    assert int(re.search(r"nearest: (\d+) answers", output)[1]) <= 210 - num_lines
    assert answers(out) == answers(undisturbed)
    assert not list(out.rglob("*.part-*"))
    again = finish(start(module, corpus_folder, out, "--protocol", "loso", "official", "--resume"))
    assert not re.search(r"nearest: \d+ answers", again)


def test_two_processes_give_the_records_of_one(
    undisturbed: Path, module: Path, corpus_folder: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # Without GPUs it is --multi_gpu that makes accelerate start as many processes as asked.
    launcher = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
    options = ("--main_process_port", port, "-m", "benchmarks.run")
    out = tmp_path / "out"
    output = finish(
        start(module, corpus_folder, out, "--protocol", "loso", "official", program=(*launcher, *options))
    )
    assert re.findall(r"nearest: (\d+) answers", output) == ["105", "105"]
    assert answers(out) == answers(undisturbed)
    assert len(answers(out)) == 2


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"v": 3, "a": 1}\n{"v": 3, "a"')
    with record_writer(path) as write:
        write({"a": 2})
    assert [json.loads(line)["a"] for _, line in whole_lines(path)] == [1, 2]
