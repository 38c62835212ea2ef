"""Choice of checkpoints and clips, and the guard against test clips that were trained on."""

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.run.entries import PROJECT_ROOT, choose_entries, portable_path
from benchmarks.run.inputs import Fold
from benchmarks.run.inputs import TestSet as MeasuredTestSet
from benchmarks.run.protocol import make_test_set, refuse_overlap
from benchmarks.run.subset import stratified_subset
from finetune.corpus.clip import Clip, Corpus
from inference.audio import waveform_hash
from inference.backends.table import BACKENDS
from inference.errors import UserError
from inference.vocabulary import DIGITS


@dataclass(frozen=True)
class Take:
    label: str
    speaker: str
    index: int


TAKES = [
    Take(label, speaker, index)
    for label in DIGITS.labels
    for speaker in ("ann", "bob", "cat")
    for index in range(3)
]


def test_defaults_come_from_the_table_and_assignments_win() -> None:
    mfcc, wav2vec2 = choose_entries(["mfcc", "wav2vec2"], ["wav2vec2=runs/a=b"])
    assert (mfcc.checkpoint, mfcc.is_default) == (BACKENDS["mfcc"].default_checkpoint, True)
    assert (wav2vec2.checkpoint, wav2vec2.is_default) == ("runs/a=b", False)


def test_a_backend_may_have_several_rows() -> None:
    entries = choose_entries(
        ["wav2vec2", "big=wav2vec2", "whisper:decode=free", "whisper:decode=constrained"],
        ["big=runs/big", "whisper=base.en", "whisper:decode=free=tiny.en"],
    )
    assert [(entry.name, entry.spec.name) for entry in entries[:2]] == [
        ("wav2vec2", "wav2vec2"),
        ("big", "wav2vec2"),
    ]
    assert [entry.checkpoint for entry in entries[1:]] == ["runs/big", "tiny.en", "base.en"]
    assert entries[3].options == {"decode": "constrained"}


def test_a_folder_of_folds_is_told_from_a_checkpoint(tmp_path: Path) -> None:
    for folder in ("folds/ann", "folds/bob", "mine"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "split_card.json").touch()
    (entry,) = choose_entries(["mfcc"], [f"mfcc={tmp_path}/folds", f"mfcc={tmp_path}/mine"])
    assert (entry.checkpoint, entry.folds) == (f"{tmp_path}/mine", tmp_path / "folds")


@pytest.mark.parametrize(
    ("backends", "checkpoints", "message"),
    [
        (["mfcc"], ["runs/mine"], "expected ENTRY=PATH"),
        (["mfcc"], ["mfcc="], "expected ENTRY=PATH"),
        (["mfcc"], ["mfcc= "], "expected ENTRY=PATH"),
        (["mfcc"], ["whisper=tiny"], "'whisper' is not measured here"),
        (["mfcc"], ["mfcc=a", "mfcc=b"], "gives mfcc more than once"),
        (["mfcc", "wav2vec2", "mfcc"], [], "names mfcc more than once"),
        (["siri"], [], "unknown backend 'siri'"),
    ],
)
def test_wrong_rows_are_explained(backends: list[str], checkpoints: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_entries(backends, checkpoints)


def test_the_home_folder_is_found_behind_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert choose_entries(["mfcc"], ["mfcc=~/mine"])[0].checkpoint == "/home/ann/mine"


def corpus(waveforms: dict[str, float]) -> Corpus:
    """Clips by id, each of a constant level."""
    clips = []
    for clip_id, level in waveforms.items():
        label, speaker, take = clip_id.split("_")
        content = io.BytesIO()
        soundfile.write(content, np.full(2000, level), 16_000, format="WAV")
        sound = content.getvalue()
        clips.append(Clip(clip_id, label, speaker, int(take), int(take) < 1, partial(bytes, sound)))
    return Corpus("mine", "mine", tuple(clips))


def hashes_of(clips: Corpus) -> dict[str, str]:
    return {clip.clip_id: waveform_hash(clip.waveform()) for clip in clips.clips}


def test_loso_has_a_fold_per_speaker_and_a_subset_spans_them() -> None:
    clips = corpus(
        {f"{d}_{s}_{t}": (d + 1) / 100 + t / 1000 for d in range(3) for s in "abc" for t in range(3)}
    )
    whole = make_test_set("loso", clips, 0, None, None)
    assert [fold.speaker for fold in whole.folds] == ["a", "b", "c"]
    assert (whole.new_speakers, len(whole.clips), whole.num_test_clips) == (True, 27, 27)
    few = make_test_set("loso", clips, 0, None, 6)
    assert {clip.speaker for clip in few.clips} == set("abc")
    assert make_test_set("loso", clips, 0, ["b"], None).folds[0].speaker == "b"
    with pytest.raises(UserError, match="--protocol kfold: expected one of"):
        make_test_set("kfold", clips, 0, None, None)
    with pytest.raises(UserError, match="external: names no folder"):
        make_test_set("external:", clips, 0, None, None)


def test_equal_samples_on_both_sides_are_refused() -> None:
    names = [f"{digit}_{speaker}_{take}" for digit in range(3) for speaker in "abc" for take in (0, 5, 6)]
    levels = {name: 0.01 * (place + 1) for place, name in enumerate(names)}
    good = corpus(levels)
    refuse_overlap(make_test_set("official", good, 0, None, None), hashes_of(good))
    bad = corpus(levels | {"1_a_5": levels["1_a_0"]})
    with pytest.raises(UserError, match=r"1_a_0 \(test\) and 1_a_5 \(training\) hold the same samples"):
        refuse_overlap(make_test_set("official", bad, 0, None, None), hashes_of(bad))


def test_a_speaker_on_both_sides_is_refused() -> None:
    clips = corpus({"1_a_0": 0.1, "2_a_0": 0.2})
    fold = Fold("a", clips.clips[:1], clips.clips[1:])
    test_set = MeasuredTestSet("loso", clips, "", True, (fold,), 1, "")
    with pytest.raises(UserError, match="a would be both learned from and tested"):
        refuse_overlap(test_set, hashes_of(clips))


def test_subset_spreads_over_labels_and_speakers() -> None:
    subset = stratified_subset(TAKES, 10)
    assert sorted(take.label for take in subset) == sorted(DIGITS.labels)
    assert {take.speaker for take in subset} == {"ann", "bob", "cat"}
    cells = {(take.label, take.speaker) for take in stratified_subset(TAKES, 30)}
    assert len(cells) == 30


def test_subset_keeps_order_does_not_depend_on_it_and_grows_by_adding() -> None:
    subset = stratified_subset(TAKES, 17)
    assert subset == sorted(subset, key=TAKES.index)
    assert set(subset) < set(stratified_subset(TAKES, 18))
    assert stratified_subset(TAKES, 1000) == TAKES


def test_printed_paths_do_not_tell_the_machine() -> None:
    assert (
        portable_path(str(PROJECT_ROOT / "inference" / "checkpoints" / "mfcc"))
        == "inference/checkpoints/mfcc"
    )
    assert portable_path("tiny.en") == "tiny.en"
