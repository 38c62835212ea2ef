"""Which checkpoint answers which fold, and the guard against those that know the answers."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks.run.checkpoints import find_checkpoints
from benchmarks.run.content_hashes import weights_hash
from benchmarks.run.entries import Entry, choose_entries
from benchmarks.run.inputs import Fold
from benchmarks.run.inputs import TestSet as MeasuredTestSet
from benchmarks.run.protocol import make_test_set
from finetune.checkpoint.split_card import SplitCard
from finetune.corpus.clip import CorpusSource
from finetune.corpus.loading import Corpus, load_corpus
from finetune.corpus.splits import make_split
from inference.audio import waveform_hash
from inference.backends.table import BACKENDS, MEMBERS_FILE, SHIPPED_CHECKPOINTS, load_backend
from inference.checkpoint import OPERATING_POINT_FILE, read_operating_point
from inference.errors import UserError
from inference.prediction import MOST_PROBABLE
from tests.benchmarks.fakes import entry_of


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return load_corpus(str(corpus_folder))


@pytest.fixture(scope="module")
def hashes(corpus: Corpus) -> dict[str, str]:
    return {clip.clip_id: waveform_hash(clip.waveform()) for clip in corpus.clips}


@pytest.fixture
def loso(corpus: Corpus) -> MeasuredTestSet:
    return make_test_set("loso", corpus, 0, None, None)


def checkpoint(folder: Path, corpus: Corpus, speaker: str | None) -> str:
    """A checkpoint that never heard a speaker, or that heard the official training clips."""
    folder.mkdir(parents=True, exist_ok=True)
    protocol = "loso" if speaker else "official"
    SplitCard.from_split(corpus, make_split(corpus.clips, protocol, fold=speaker)).write(folder)
    return str(folder)


def no_fit(entry: Entry, test_set: MeasuredTestSet, fold: Fold) -> Path:
    raise AssertionError("nothing is to be fitted")


def test_every_fold_has_its_checkpoint(
    corpus: Corpus, loso: MeasuredTestSet, hashes: dict[str, str], tmp_path: Path
) -> None:
    for speaker in corpus.speakers:
        checkpoint(tmp_path / speaker, corpus, speaker)
    entry = dataclasses.replace(entry_of("Perfect"), folds=tmp_path)
    found = find_checkpoints(entry, [entry], loso, hashes, no_fit)
    assert found.by_fold == {speaker: str(tmp_path / speaker) for speaker in corpus.speakers}
    assert (found.fold_checkpoints, found.leaked_clips, found.trained_on) == (True, 0, "folder")
    (tmp_path / "bob" / "split_card.json").unlink()
    with pytest.raises(UserError, match="no checkpoint for the held-out speaker bob"):
        find_checkpoints(entry, [entry], loso, hashes, no_fit)


def test_a_table_tells_all_that_was_learned_from(
    corpus: Corpus, hashes: dict[str, str], tmp_path: Path
) -> None:
    uses = ("split", "learned from", "validation", "non-words", "validation non-words", "weights")
    split = make_split(corpus.clips, "official")
    card = SplitCard.from_split(corpus, split, [CorpusSource(use, use) for use in uses])
    dataclasses.replace(card, num_synthetic_clips=1).write(tmp_path)
    official = make_test_set("official", corpus, 0, None, None)
    entry = dataclasses.replace(entry_of("Perfect"), checkpoint=str(tmp_path))
    found = find_checkpoints(entry, [entry], official, hashes, no_fit)
    assert found.trained_on == "folder + 1 more corpus + other words + synthetic voices"
    assert found.train_clips == len(split.train) + len(split.validation)


def test_a_fold_that_heard_its_speaker_is_refused(
    corpus: Corpus, loso: MeasuredTestSet, hashes: dict[str, str], tmp_path: Path
) -> None:
    for speaker in corpus.speakers:
        checkpoint(tmp_path / speaker, corpus, "cat")
    entry = dataclasses.replace(entry_of("Perfect"), folds=tmp_path)
    with pytest.raises(
        UserError, match=r"(?s)ann \(perfect\) was trained on 50 .*bob \(perfect\).*--allow-leak"
    ):
        find_checkpoints(entry, [entry], loso, hashes, no_fit)
    assert find_checkpoints(entry, [entry], loso, hashes, no_fit, allow_leak=True).leaked_clips == 100


def test_a_checkpoint_that_heard_everybody_has_no_folds(
    corpus: Corpus, loso: MeasuredTestSet, hashes: dict[str, str], tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "shipped", corpus, None)
    shipped = Entry("perfect", entry_of("Perfect").spec, path, is_default=True)
    found = find_checkpoints(shipped, [shipped], loso, hashes, no_fit)
    assert found.by_fold == {}
    assert "one for each held-out speaker" in str(found.reason)
    chosen = dataclasses.replace(shipped, is_default=False)
    with pytest.raises(UserError, match="was trained on 150 of the clips"):
        find_checkpoints(chosen, [chosen], loso, hashes, no_fit)


def test_unheard_clips_of_a_heard_speaker_are_no_new_voice(
    corpus: Corpus, hashes: dict[str, str], tmp_path: Path
) -> None:
    """The official checkpoint has learned from none of these takes, but from everybody who speaks them."""
    test_set = make_test_set("loso", corpus, 0, None, 30)
    path = checkpoint(tmp_path / "shipped", corpus, None)
    chosen = Entry("perfect", entry_of("Perfect").spec, path, is_default=False)
    with pytest.raises(UserError, match=r"was trained on 30 of the clips .* or on their speakers"):
        find_checkpoints(chosen, [chosen], test_set, hashes, no_fit)


def test_the_small_baseline_is_fitted_for_each_fold(
    corpus: Corpus, loso: MeasuredTestSet, hashes: dict[str, str], tmp_path: Path
) -> None:
    path = checkpoint(tmp_path / "shipped", corpus, None)
    entry = Entry("mfcc", BACKENDS["mfcc"], path, is_default=True)

    def fit(entry: Entry, test_set: MeasuredTestSet, fold: Fold) -> Path:
        return Path(checkpoint(tmp_path / str(fold.speaker), corpus, fold.speaker))

    found = find_checkpoints(entry, [entry], loso, hashes, fit)
    assert set(found.by_fold) == {"ann", "bob", "cat"}
    assert found.fold_checkpoints


def test_a_zero_shot_backend_answers_every_fold(loso: MeasuredTestSet, hashes: dict[str, str]) -> None:
    found = find_checkpoints(entry_of("Writer"), [], loso, hashes, no_fit)
    assert set(found.by_fold.values()) == {"none"}
    assert (found.leaked_clips, found.fold_checkpoints) == (None, False)


MEMBERS = ("mfcc", "speech-embedding")
ENSEMBLE = Entry("ensemble", BACKENDS["ensemble"], "mfcc+speech-embedding", is_default=True)


def test_an_ensemble_asks_the_folds_of_its_members(
    corpus: Corpus, loso: MeasuredTestSet, hashes: dict[str, str], tmp_path: Path
) -> None:
    """As the README has it, each member with a checkpoint per held-out speaker in a folder."""
    folds = {name: tmp_path / name for name in MEMBERS}
    for folder in folds.values():
        for speaker in corpus.speakers:
            checkpoint(folder / speaker, corpus, speaker)
    given = [f"{name}={folder}" for name, folder in folds.items()]
    entries = choose_entries([*MEMBERS, "ensemble"], [*given, "ensemble=mfcc+speech-embedding"])
    found = find_checkpoints(entries[2], entries, loso, hashes, no_fit)
    assert (
        found.by_fold["ann"] == f"mfcc={folds['mfcc']}/ann+speech-embedding={folds['speech-embedding']}/ann"
    )
    assert (found.fold_checkpoints, found.leaked_clips, found.trained_on) == (True, 0, "folder")
    without = choose_entries(["mfcc", "ensemble"], [given[0], "ensemble=mfcc+speech-embedding"])
    only_mfcc = find_checkpoints(without[1], without, loso, hashes, no_fit)
    # The other member's own checkpoint was trained on another corpus than this one.
    assert only_mfcc.by_fold["ann"].endswith(BACKENDS["speech-embedding"].default_checkpoint)


def test_an_ensemble_named_by_its_members_takes_what_the_run_gives_for_them(
    corpus: Corpus, hashes: dict[str, str], tmp_path: Path
) -> None:
    mine, other = (checkpoint(tmp_path / name, corpus, None) for name in ("mine", "other"))
    official = make_test_set("official", corpus, 0, None, None)
    for given, expected in (("mfcc", mine), (f"mfcc={other}", other)):
        members = f"{given}+speech-embedding"
        entries = choose_entries(["mfcc", "ensemble"], [f"mfcc={mine}", f"ensemble={members}"])
        found = find_checkpoints(entries[1], entries, official, hashes, no_fit)
        assert found.by_fold[None].split("+")[0] == f"mfcc={expected}"


@pytest.mark.parametrize("name", ["ensemble", "cascade"])
def test_a_shipped_composite_is_asked_at_its_operating_point(
    name: str, corpus: Corpus, hashes: dict[str, str]
) -> None:
    official = make_test_set("official", corpus, 0, None, None)
    entries = choose_entries(["speech-embedding", name], [])
    found = find_checkpoints(entries[1], entries, official, hashes, no_fit)
    backend = load_backend(name, found.by_fold[None])
    assert backend.operating_point == read_operating_point(SHIPPED_CHECKPOINTS / name) != MOST_PROBABLE


def test_a_composite_that_was_calibrated_anew_is_another(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / MEMBERS_FILE).write_text('"mfcc+speech-embedding"')
    chosen = dataclasses.replace(ENSEMBLE, checkpoint=str(tmp_path))
    before = weights_hash(chosen)
    (tmp_path / OPERATING_POINT_FILE).write_text("{}")
    assert weights_hash(chosen) != before


def test_nothing_is_fitted_for_an_ensemble_that_cannot_be_asked(
    corpus: Corpus, loso: MeasuredTestSet, hashes: dict[str, str], tmp_path: Path
) -> None:
    heard = checkpoint(tmp_path / "heard", corpus, None)
    members = [Entry(name, BACKENDS[name], heard, is_default=True) for name in MEMBERS]
    found = find_checkpoints(ENSEMBLE, [*members, ENSEMBLE], loso, hashes, no_fit)
    assert found.by_fold == {}
    assert str(found.reason).startswith("ensemble: speech-embedding: its checkpoint has heard every speaker")


def test_an_ensemble_leaks_what_a_member_has_heard(
    corpus: Corpus, loso: MeasuredTestSet, hashes: dict[str, str], tmp_path: Path
) -> None:
    heard, bare = checkpoint(tmp_path / "heard", corpus, None), tmp_path / "bare"
    bare.mkdir()
    chosen = dataclasses.replace(
        ENSEMBLE, checkpoint=f"mfcc={bare}+speech-embedding={heard}", is_default=False
    )
    with pytest.raises(UserError, match="was trained on 150 of the clips"):
        find_checkpoints(chosen, [chosen], loso, hashes, no_fit)
    official = make_test_set("official", corpus, 0, None, None)
    found = find_checkpoints(chosen, [chosen], official, hashes, no_fit)
    assert (found.trained_on, found.leaked_clips) == (None, None), "a member without a card leaves it open"
    zero_shot = dataclasses.replace(chosen, checkpoint=f"speech-embedding={heard}+pocketsphinx")
    found = find_checkpoints(zero_shot, [zero_shot], official, hashes, no_fit)
    assert (found.trained_on, found.leaked_clips) == ("folder", 0), "a zero-shot member has no split"
    before = weights_hash(chosen)
    (bare / "model.bin").write_bytes(b"one")
    assert weights_hash(chosen) != before


def test_weights_are_told_apart_by_content(tmp_path: Path) -> None:
    entry = dataclasses.replace(entry_of("Perfect"), checkpoint=str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"one")
    before = weights_hash(entry)
    (tmp_path / "model.bin").write_bytes(b"two")
    assert weights_hash(entry) != before
    names = [dataclasses.replace(entry, checkpoint=name) for name in ("tiny.en", "base.en")]
    assert weights_hash(names[0]) != weights_hash(names[1])
