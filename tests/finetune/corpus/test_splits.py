from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.corpus.clip import Clip
from finetune.corpus.splits import PROTOCOLS, fingerprint, make_split
from inference.errors import CorpusError
from inference.vocabulary import DIGITS


def clips_of(num_speakers: int, num_takes: int) -> list[Clip]:
    return [
        Clip(f"{label}_s{speaker}_{take}", label, f"s{speaker}", take, take < 5, lambda: Path("none"))
        for label in DIGITS.labels
        for speaker in range(num_speakers)
        for take in range(num_takes)
    ]


@given(
    num_speakers=st.integers(3, 12),
    num_takes=st.integers(7, 12),
    seed=st.integers(0, 1000),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_parts_are_disjoint_complete_and_repeatable(num_speakers, num_takes, seed, protocol) -> None:
    clips = clips_of(num_speakers, num_takes)
    fold = "s1" if protocol == "loso" else None
    split = make_split(clips, protocol, seed, fold)
    parts = [{clip.clip_id for clip in part} for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(clips)
    assert make_split(list(reversed(clips)), protocol, seed, fold).fingerprint == split.fingerprint
    if protocol != "official":
        speakers = [{clip.speaker for clip in part} for part in (split.train, split.validation, split.test)]
        assert sum(map(len, speakers)) == num_speakers
    if protocol == "loso":
        assert {clip.speaker for clip in split.test} == {"s1"}


def test_official_test_is_the_first_five_takes() -> None:
    split = make_split(clips_of(6, 50))
    assert len(split.test) == 300
    assert {clip.index for clip in split.test} == set(range(5))
    assert min(clip.index for clip in split.train) > max(clip.index for clip in split.validation)
    # Equal shares of every speaker and label.
    assert len({sum(c.speaker == f"s{s}" for c in split.validation) for s in range(6)}) == 1


def test_fingerprint_sees_ids_and_labels_only() -> None:
    clips = clips_of(1, 2)
    assert fingerprint(clips) == fingerprint(reversed(clips))
    assert fingerprint(clips) != fingerprint(clips[:-1])


@pytest.mark.parametrize(
    ("clips", "arguments", "message"),
    [
        (clips_of(2, 7), {"protocol": "speaker-disjoint"}, "at least 3 speakers.*has 2: s0, s1"),
        (clips_of(3, 7), {"protocol": "loso", "fold": "bob"}, "fold 'bob' is not a speaker.*s0, s1, s2"),
        (clips_of(3, 7), {"protocol": "random"}, "unknown protocol 'random'.*official"),
        (clips_of(3, 7), {"protocol": "official", "fold": "s1"}, "goes with the protocol loso"),
        (clips_of(3, 5), {}, "leaves no train clips"),
        (clips_of(3, 6), {}, "leaves no validation clips"),
    ],
)
def test_impossible_splits_say_why(clips, arguments: dict, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        make_split(clips, **arguments)
