"""A corpus of tiny clips whose level says the digit, and the fakes as rows of the table."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.run.__main__ import main
from benchmarks.worker.waveform_file import StoredClip, store_clips
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from inference.audio import SAMPLING_RATE
from inference.backends.table import BACKENDS
from inference.vocabulary import DIGITS
from tests.benchmarks.fakes import fake_spec
from tests.conftest import PROJECT

SPEAKERS = ("ann", "bob", "cat")
TEST_TAKES = (0, 1)
TRAIN_TAKES = (5, 6, 7)


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 test and 90 training clips."""
    folder = tmp_path_factory.mktemp("recordings")
    for label in DIGITS.labels:
        for number, speaker in enumerate(SPEAKERS):
            for take in (*TEST_TAKES, *TRAIN_TAKES):
                level = round(DIGITS.label2id[label] / 100 * 32768)
                samples = np.full(SAMPLING_RATE // 8 + 160 * number + take, level, dtype="<i2")
                with wave.open(str(folder / f"{label}_{speaker}_{take}.wav"), "wb") as clip:
                    clip.setnchannels(1)
                    clip.setsampwidth(2)
                    clip.setframerate(SAMPLING_RATE)
                    clip.writeframes(samples.tobytes())
    return folder


@pytest.fixture(scope="session")
def stored(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StoredClip]:
    """The test clips, decoded."""
    path = tmp_path_factory.mktemp("stored") / "clips.f32"
    return store_clips(make_split(load_corpus(str(corpus_folder)).clips).test, path)


@pytest.fixture(autouse=True)
def environment_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the fakes, and are offline only if the benchmark says so."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Puts fakes into the table of backends; returns their names."""

    def add(*class_names: str, checkpoint: str = "none") -> list[str]:
        specs = [fake_spec(class_name, checkpoint) for class_name in class_names]
        for spec in specs:
            monkeypatch.setitem(BACKENDS, spec.name, spec)
        return [spec.name for spec in specs]

    return add


@pytest.fixture
def benchmark(
    fakes: Callable[..., list[str]], corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, Path]]:
    """Runs the command line over fakes; returns the exit code and the result folder.

    Pictures, which take longer than the run, are drawn where they are asked for.
    """

    def start(
        *class_names: str, options: tuple[str, ...] = (), checkpoint: str = "none", pictures: bool = False
    ) -> tuple[int, Path]:
        if not pictures:
            monkeypatch.setattr("benchmarks.reports.pictures.draw", lambda report: [])
        names = fakes(*class_names, checkpoint=checkpoint)
        folder = tmp_path / "out"
        arguments = ["--backends", *names, "--dataset", str(corpus_folder), "--out", str(folder)]
        again = ["--fresh"] if folder.exists() and "--resume" not in options else []
        return main([*arguments, "--rounds", "8", *again, *options]), folder

    return start
