"""Kill, resume and share: the records are those of one undisturbed process, timings excepted."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.records.files import read_run
from benchmarks.records.measurements import AnswerRecord
from inference.features import FeatureSettings, num_statistics
from tests.conftest import PROJECT

README = (PROJECT / "inference" / "README.md").read_text(encoding="utf-8")

# A busy machine takes its time; nothing here asks how long.
pytestmark = pytest.mark.timeout(900)

#: Put behind the backend of the documentation: from so many answers on it waits to be killed.
PAUSE = """

def pausing(predict):
    count = 0

    def paused(self, waveforms):
        nonlocal count
        count += len(waveforms)
        if count > int(os.environ.get("PAUSE_AFTER", "1000000000")):
            time.sleep(3600)
        return predict(self, waveforms)

    return paused


import os
import time

NearestTemplate.predict = pausing(NearestTemplate.predict)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The backend that the documentation shows, in a file outside the project, with templates."""
    pages = [path.read_text(encoding="utf-8") for path in (*PROJECT.glob("*.md"), *PROJECT.glob("*/*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)]
    text = next(block for block in blocks if "class NearestTemplate(Backend)" in block) + PAUSE
    folder = tmp_path_factory.mktemp("outside")
    (folder / "nearest.py").write_text(text)
    templates = np.random.default_rng(0).normal(size=(10, num_statistics(FeatureSettings())))
    np.save(folder / "templates.npy", templates)
    return folder / "nearest.py"


def start(
    module: Path,
    corpus: Path,
    out: Path,
    *options: str,
    program: tuple[str, ...] = ("benchmarks.run",),
    pause_after: int | None = None,
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
        env=os.environ | ({} if pause_after is None else {"PAUSE_AFTER": str(pause_after)}),
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def answers(folder: Path) -> list[AnswerRecord]:
    """The records without their times."""
    return [replace(record, t_ns=None) for record in read_run(folder).answers()]


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
    assert {record.status for record in given} == {"ok"}
    assert {record.fold for record in given} == {"ann", "bob", "cat", None}
    assert (given[0].t_ns or {}).keys() == {"e2e", "cpu", "features", "model"}
    assert "nearest" in (undisturbed / "summary.md").read_text()


@pytest.mark.parametrize("num_lines", [5, 40])
def test_killed_and_resumed(
    undisturbed: Path, module: Path, corpus_folder: Path, tmp_path: Path, num_lines: int
) -> None:
    out = tmp_path / "out"
    process = start(module, corpus_folder, out, "--protocol", "loso", "official", pause_after=num_lines)
    part = out / "answers.jsonl.part-0"
    while not part.is_file() or part.read_bytes().count(b"\n") < num_lines:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children()
    assert workers
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Each is in the middle of an answer that never comes, and ends nevertheless.
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        time.sleep(0.1)
    assert json.loads((out / "run.json").read_text())["complete"] is False
    with part.open("a") as torn:
        torn.write('{"v": 5, "job": "torn')
    output = finish(start(module, corpus_folder, out, "--protocol", "loso", "official", "--resume"))
    assert re.findall(r"nearest: (\d+) answers", output) == [str(210 - num_lines)]
    assert answers(out) == answers(undisturbed)
    assert not list(out.rglob("*.part-*"))


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
    assert not list(out.rglob("*.part-*"))
