"""Choice of checkpoints and clips, and the guard against test clips that were trained on."""

from dataclasses import dataclass

import pytest

from benchmarks.protocol import (
    PROJECT_ROOT,
    Candidate,
    choose_checkpoints,
    portable_path,
    refuse_leaks,
    stratified_subset,
)
from inference.backends import BACKENDS
from inference.errors import UserError
from inference.labels import LABELS


@dataclass(frozen=True)
class Take:
    label: str
    speaker: str
    index: int


TAKES = [
    Take(label, speaker, index) for label in LABELS for speaker in ("ann", "bob", "cat") for index in range(3)
]


def test_defaults_come_from_the_table_and_assignments_win() -> None:
    chosen = choose_checkpoints(["mfcc", "wav2vec2"], ["wav2vec2=runs/a=b"])
    assert chosen == {"mfcc": BACKENDS["mfcc"].default_checkpoint, "wav2vec2": "runs/a=b"}


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["runs/mine"], "expected NAME=PATH"),
        (["mfcc="], "expected NAME=PATH"),
        (["mfcc= "], "expected NAME=PATH"),
        (["whisper=tiny"], "'whisper' is not measured here"),
        (["mfcc=a", "mfcc=b"], "gives mfcc twice"),
    ],
)
def test_wrong_assignments_are_explained(assignments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_checkpoints(["mfcc", "wav2vec2"], assignments)


def test_a_backend_named_twice_is_refused() -> None:
    with pytest.raises(UserError, match="names mfcc more than once"):
        choose_checkpoints(["mfcc", "wav2vec2", "mfcc"], [])


def test_the_home_folder_is_found_behind_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert choose_checkpoints(["mfcc"], ["mfcc=~/mine"]) == {"mfcc": "/home/ann/mine"}


def test_leak_names_checkpoint_clips_and_ways_out() -> None:
    spec = BACKENDS["mfcc"]
    refuse_leaks([Candidate(spec, "runs/clean", 0), Candidate(spec, "runs/unknown", None)])
    with pytest.raises(
        UserError, match=r"(?s)runs/leaky \(mfcc\).* 12 of .*--protocol.*--allow-leak"
    ) as error:
        refuse_leaks([Candidate(spec, "runs/clean", 0), Candidate(spec, "runs/leaky", 12)])
    assert "runs/clean" not in str(error.value)


def test_subset_spreads_over_labels_and_speakers() -> None:
    subset = stratified_subset(TAKES, 10)
    assert sorted(take.label for take in subset) == sorted(LABELS)
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
