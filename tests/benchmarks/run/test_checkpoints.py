"""Which checkpoint answers which fold, and the guard against those that know the answers."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks.run.checkpoints import assign_checkpoints
from benchmarks.run.content_hashes import weights_hash
from benchmarks.run.entries import Row
from benchmarks.run.protocol import Evaluation, Fold, make_evaluation
from finetune.checkpoint.split_card import SplitCard
from finetune.corpus.loading import Corpus, load_corpus
from finetune.corpus.splits import make_split
from inference.audio import waveform_hash
from inference.backends.table import BACKENDS
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
    found = assign_checkpoints(row, [row], loso, hashes, no_fit)
    assert found.checkpoints == {speaker: str(tmp_path / speaker) for speaker in corpus.speakers}
    assert (found.fold_checkpoints, found.leaked_clips, found.trained_on) == (True, 0, "folder")
    (tmp_path / "bob" / "split_card.json").unlink()
    with pytest.raises(UserError, match="no checkpoint for the held-out speaker bob"):
        assign_checkpoints(row, [row], loso, hashes, no_fit)


def test_a_fold_that_heard_its_speaker_is_refused(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    for speaker in corpus.speakers:
        checkpoint(tmp_path / speaker, corpus, "cat")
    row = dataclasses.replace(row_of("Perfect"), folds=tmp_path)
    with pytest.raises(
        UserError, match=r"(?s)ann \(perfect\) was trained on 50 .*bob \(perfect\).*--allow-leak"
    ):
        assign_checkpoints(row, [row], loso, hashes, no_fit)
    assert assign_checkpoints(row, [row], loso, hashes, no_fit, allow_leak=True).leaked_clips == 100


def test_a_checkpoint_that_heard_everybody_has_no_folds(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "shipped", corpus, None)
    shipped = Row("perfect", row_of("Perfect").spec, path, is_default=True)
    found = assign_checkpoints(shipped, [shipped], loso, hashes, no_fit)
    assert found.checkpoints == {}
    assert "one for each held-out speaker" in str(found.reason)
    chosen = dataclasses.replace(shipped, is_default=False)
    with pytest.raises(UserError, match="was trained on 150 of the clips"):
        assign_checkpoints(chosen, [chosen], loso, hashes, no_fit)


@pytest.mark.parametrize("protocol", ["loso", "loso-lite"])
def test_unheard_clips_of_a_heard_speaker_are_no_new_voice(
    protocol: str, corpus: Corpus, hashes: dict[str, str], tmp_path: Path
) -> None:
    """The official checkpoint has learned from none of these takes, but from everybody who speaks them."""
    evaluation = make_evaluation(protocol, corpus, 0, None, 30)
    path = checkpoint(tmp_path / "shipped", corpus, None)
    chosen = Row("perfect", row_of("Perfect").spec, path, is_default=False)
    with pytest.raises(UserError, match=r"was trained on 30 of the clips .* or on their speakers"):
        assign_checkpoints(chosen, [chosen], evaluation, hashes, no_fit)


def test_the_small_baseline_is_fitted_for_each_fold(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "shipped", corpus, None)
    row = Row("mfcc", BACKENDS["mfcc"], path, is_default=True)

    def fit(row: Row, evaluation: Evaluation, fold: Fold) -> Path:
        return Path(checkpoint(tmp_path / str(fold.speaker), corpus, fold.speaker))

    found = assign_checkpoints(row, [row], loso, hashes, fit)
    assert set(found.checkpoints) == {"ann", "bob", "cat"}
    assert found.fold_checkpoints


def test_a_zero_shot_backend_answers_every_fold(loso: Evaluation, hashes: dict[str, str]) -> None:
    found = assign_checkpoints(row_of("Writer"), [], loso, hashes, no_fit)
    assert set(found.checkpoints.values()) == {"none"}
    assert (found.leaked_clips, found.fold_checkpoints) == (None, False)


def folds_of(name: str, corpus: Corpus, folder: Path) -> Row:
    """A row with a checkpoint per held-out speaker, whose own has heard everybody."""
    for speaker in corpus.speakers:
        checkpoint(folder / speaker, corpus, speaker)
    shipped = checkpoint(folder / "shipped", corpus, None)
    return Row(name, BACKENDS[name], shipped, folds=folder, is_default=True)


ENSEMBLE = Row("ensemble", BACKENDS["ensemble"], BACKENDS["ensemble"].default_checkpoint, is_default=True)


def test_an_ensemble_asks_the_folds_of_its_members(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    members = [folds_of(name, corpus, tmp_path / name) for name in ("mfcc", "speech-embedding")]
    found = assign_checkpoints(ENSEMBLE, [ENSEMBLE, *members], loso, hashes, no_fit)
    parts = f"mfcc={tmp_path}/mfcc/ann+speech-embedding={tmp_path}/speech-embedding/ann"
    assert found.checkpoints["ann"] == parts
    assert (found.fold_checkpoints, found.leaked_clips, found.trained_on) == (True, 0, "folder")
    official = make_evaluation("official", corpus, 0, None, None)
    shipped = assign_checkpoints(ENSEMBLE, [*members, ENSEMBLE], official, hashes, no_fit)
    assert shipped.checkpoints[None].count("/shipped") == 2
    only_mfcc = assign_checkpoints(ENSEMBLE, [members[0], ENSEMBLE], loso, hashes, no_fit)
    # The other member's own checkpoint was trained on another corpus than this one.
    assert only_mfcc.checkpoints["ann"].endswith(BACKENDS["speech-embedding"].default_checkpoint)


def test_nothing_is_fitted_for_an_ensemble_that_cannot_be_asked(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    heard = checkpoint(tmp_path / "heard", corpus, None)
    members = [Row(name, BACKENDS[name], heard, is_default=True) for name in ("mfcc", "speech-embedding")]
    found = assign_checkpoints(ENSEMBLE, [*members, ENSEMBLE], loso, hashes, no_fit)
    assert found.checkpoints == {}
    assert str(found.reason).startswith("ensemble: speech-embedding: its checkpoint has heard every speaker")


def test_an_ensemble_leaks_what_a_member_has_heard(
    corpus: Corpus, loso: Evaluation, hashes: dict[str, str], tmp_path: Path
) -> None:
    heard, bare = checkpoint(tmp_path / "heard", corpus, None), tmp_path / "bare"
    bare.mkdir()
    chosen = dataclasses.replace(
        ENSEMBLE, checkpoint=f"mfcc={bare}+speech-embedding={heard}", is_default=False
    )
    with pytest.raises(UserError, match="was trained on 150 of the clips"):
        assign_checkpoints(chosen, [chosen], loso, hashes, no_fit)
    official = make_evaluation("official", corpus, 0, None, None)
    found = assign_checkpoints(chosen, [chosen], official, hashes, no_fit)
    assert (found.trained_on, found.leaked_clips) == (None, None), "a member without a card leaves it open"
    before = weights_hash(chosen)
    (bare / "model.bin").write_bytes(b"one")
    assert weights_hash(chosen) != before


def test_weights_are_told_apart_by_content(tmp_path: Path) -> None:
    row = dataclasses.replace(row_of("Perfect"), checkpoint=str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"one")
    before = weights_hash(row)
    (tmp_path / "model.bin").write_bytes(b"two")
    assert weights_hash(row) != before
    names = [dataclasses.replace(row, checkpoint=name) for name in ("tiny.en", "base.en")]
    assert weights_hash(names[0]) != weights_hash(names[1])
