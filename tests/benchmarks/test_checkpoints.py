"""Which checkpoint answers which fold, and the guard against those that know the answers."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks.checkpoints import assign_checkpoints, weights_hash
from benchmarks.protocol import Evaluation, Fold, make_evaluation
from benchmarks.rows import Row
from finetune.corpus import Corpus, load_corpus
from finetune.corpus.splits import make_split
from finetune.split_card import SplitCard
from inference.audio import waveform_hash
from inference.backends import BACKENDS
from inference.errors import UserError
from tests.benchmarks.fakes import row_of


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return load_corpus(str(corpus_folder))


@pytest.fixture(scope="module")
def hashes(corpus: Corpus) -> dict[str, str]:
    return {clip.clip_id: waveform_hash(clip.waveform()) for clip in corpus.clips}


@pytest.fixture
def loso(corpus: Corpus) -> Evaluation:
    return make_evaluation("loso", corpus, 0, None, None)


def checkpoint(folder: Path, corpus: Corpus, speaker: str | None) -> str:
    """A checkpoint that never heard a speaker, or that heard the official training clips."""
    folder.mkdir(parents=True, exist_ok=True)
    protocol = "loso" if speaker else "official"
    SplitCard.from_split(corpus, make_split(corpus.clips, protocol, fold=speaker)).write(folder)
    return str(folder)


def no_fit(row: Row, evaluation: Evaluation, fold: Fold) -> Path:
    raise AssertionError("nothing is to be fitted")


def test_every_fold_has_its_checkpoint(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    for speaker in corpus.speakers:
        checkpoint(tmp_path / speaker, corpus, speaker)
    row = dataclasses.replace(row_of("Perfect"), folds=tmp_path)
    found = assign_checkpoints(row, loso, hashes, no_fit)
    assert found.checkpoints == {speaker: str(tmp_path / speaker) for speaker in corpus.speakers}
    assert (found.fold_checkpoints, found.leaked_clips, found.trained_on) == (True, 0, "folder")
    (tmp_path / "bob" / "split_card.json").unlink()
    with pytest.raises(UserError, match="no checkpoint for the held-out speaker bob"):
        assign_checkpoints(row, loso, hashes, no_fit)


def test_a_fold_that_heard_its_speaker_is_refused(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    for speaker in corpus.speakers:
        checkpoint(tmp_path / speaker, corpus, "cat")
    row = dataclasses.replace(row_of("Perfect"), folds=tmp_path)
    with pytest.raises(
        UserError, match=r"(?s)ann \(perfect\) was trained on 50 .*bob \(perfect\).*--allow-leak"
    ):
        assign_checkpoints(row, loso, hashes, no_fit)
    assert assign_checkpoints(row, loso, hashes, no_fit, allow_leak=True).leaked_clips == 100


def test_a_checkpoint_that_heard_everybody_has_no_folds(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "shipped", corpus, None)
    shipped = Row("perfect", row_of("Perfect").spec, path, is_default=True)
    found = assign_checkpoints(shipped, loso, hashes, no_fit)
    assert found.checkpoints == {}
    assert "one for each held-out speaker" in str(found.reason)
    chosen = dataclasses.replace(shipped, is_default=False)
    with pytest.raises(UserError, match="was trained on 90 of the clips"):
        assign_checkpoints(chosen, loso, hashes, no_fit)


def test_the_small_baseline_is_fitted_for_each_fold(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "shipped", corpus, None)
    row = Row("mfcc", BACKENDS["mfcc"], path, is_default=True)

    def fit(row: Row, evaluation: Evaluation, fold: Fold) -> Path:
        return Path(checkpoint(tmp_path / str(fold.speaker), corpus, fold.speaker))

    found = assign_checkpoints(row, loso, hashes, fit)
    assert set(found.checkpoints) == {"ann", "bob", "cat"}
    assert found.fold_checkpoints


def test_a_zero_shot_backend_answers_every_fold(loso: Evaluation, hashes: dict[str, str]) -> None:
    found = assign_checkpoints(row_of("Writer"), loso, hashes, no_fit)
    assert set(found.checkpoints.values()) == {"none"}
    assert (found.leaked_clips, found.fold_checkpoints) == (None, False)


def test_weights_are_told_apart_by_content(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"one")
    before = weights_hash(str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"two")
    assert weights_hash(str(tmp_path)) != before
    assert weights_hash("tiny.en") != weights_hash("base.en")
