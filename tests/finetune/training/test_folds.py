"""Leaving one speaker out: each fold once, and the table says what the folds say."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.checkpoint.writer import FIGURES_NAME
from finetune.corpus.clip import Corpus
from finetune.corpus.loading import load_corpus
from finetune.training.folds import FoldTable, read_folds, run_folds
from inference.backends.table import CARD_NAME
from inference.errors import CheckpointError, CorpusError, UserError


class FakeFit:
    """Writes what a fit leaves behind; notes the speakers it was asked for."""

    def __init__(self) -> None:
        self.speakers: list[str] = []

    def __call__(self, speaker: str, folder: Path) -> None:
        self.speakers.append(speaker)
        folder.mkdir(parents=True)
        figures = {"test_clips": 70, "test_accuracy": 0.5 + 0.1 * len(self.speakers)}
        (folder / FIGURES_NAME).write_text(json.dumps(figures))
        (folder / CARD_NAME).write_text("{}")


@pytest.fixture(scope="module")
def corpus(spoken_corpus: Path) -> Corpus:
    return load_corpus(str(spoken_corpus))


def test_every_speaker_is_held_out_once_and_finished_folds_are_kept(corpus: Corpus, tmp_path: Path) -> None:
    fit = FakeFit()
    table = run_folds(corpus, tmp_path, {"seed": 0}, "the command", fit)
    assert fit.speakers == list(corpus.speakers)
    (tmp_path / corpus.speakers[1] / CARD_NAME).unlink()
    again = FakeFit()
    with pytest.raises(FileExistsError):
        run_folds(corpus, tmp_path, {"seed": 0}, "the command", again)
    assert again.speakers == [corpus.speakers[1]]
    assert json.loads((tmp_path / "loso.json").read_text())["mean"] == pytest.approx(table.mean)
    assert "the command" in (tmp_path / "loso.md").read_text()


def test_folds_of_other_settings_do_not_mix(corpus: Corpus, tmp_path: Path) -> None:
    run_folds(corpus, tmp_path, {"seed": 0}, "", FakeFit())
    with pytest.raises(UserError, match="another seed"):
        run_folds(corpus, tmp_path, {"seed": 1}, "", FakeFit())


def test_a_lone_speaker_is_refused_before_any_work(corpus: Corpus, tmp_path: Path) -> None:
    lone = Corpus("one", "one", tuple(clip for clip in corpus.clips if clip.speaker == corpus.speakers[0]))
    with pytest.raises(CorpusError, match="at least 3 speakers"):
        run_folds(lone, tmp_path / "out", {}, "", FakeFit())
    assert not (tmp_path / "out").exists()


def test_damaged_figures_are_named(corpus: Corpus, tmp_path: Path) -> None:
    run_folds(corpus, tmp_path, {}, "", FakeFit())
    (tmp_path / corpus.speakers[0] / FIGURES_NAME).write_text("{}")
    with pytest.raises(CheckpointError, match="lacks its test figures"):
        read_folds(corpus.speakers, tmp_path, "", "")


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=9))
def test_interval_holds_the_mean(accuracies: list[float]) -> None:
    names = [f"speaker {number}" for number in range(len(accuracies))]
    table = FoldTable("", "", dict.fromkeys(names, 10), dict(zip(names, accuracies, strict=True)))
    low, high, _ = table.interval
    assert 0.0 <= low <= table.mean + 1e-12
    assert table.mean - 1e-12 <= high <= 1.0
    assert table.accuracy[table.worst] == min(accuracies)
