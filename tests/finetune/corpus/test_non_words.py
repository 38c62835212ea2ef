import shutil
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from finetune.corpus.loading import load_corpus
from finetune.corpus.non_words import (
    KINDS,
    MAX_REPETITIONS,
    VARIANTS,
    WORDS,
    non_words,
    recorded_non_words,
    repeat_rare_words,
    word_plan,
)
from finetune.corpus.synthetic import TRAINING_VARIANTS
from inference.errors import CorpusError
from inference.vocabulary import DIGITS, REJECT_LABEL

PARTS = tuple(WORDS)


@pytest.mark.parametrize("lists", [WORDS, VARIANTS])
def test_parts_share_no_word_and_no_voice(lists: dict[str, tuple[str, ...]]) -> None:
    for first, second in combinations(PARTS, 2):
        assert not set(lists[first]) & set(lists[second])
    assert all(len(set(values)) == len(values) for values in lists.values())


def test_no_word_is_a_digit_or_sounds_like_one() -> None:
    homophones = {
        "for",
        "fore",
        "to",
        "too",
        "won",
        "ate",
        "sics",
        "nein",
        "owe",
        "hate",
        "hoe",
        "tree",
        "fife",
    }
    digits = {form for forms in DIGITS.spoken_forms.values() for form in forms}
    assert not (digits | homophones) & {word for words in WORDS.values() for word in words}


def test_a_few_words_are_drawn_from_the_whole_list() -> None:
    initials = {word.label[0] for word in word_plan("train", 200)}
    assert len(initials) > 15


def test_plan_depends_on_part_and_number_alone() -> None:
    assert word_plan("test", 5) == word_plan("test", 5)
    assert {word.voice.partition("+")[2] for word in word_plan("train", 500)} <= set(TRAINING_VARIANTS)


def test_sounds_of_every_kind_the_same_each_time(spoken_corpus: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    digits = load_corpus(str(spoken_corpus)).clips[::9]
    clips = non_words(digits, "validation", 20)
    assert {clip.label for clip in clips} == {REJECT_LABEL}
    assert len({clip.clip_id for clip in clips}) == 20
    made = Counter(clip.clip_id.split("/")[2].split("_")[0] for clip in clips)
    assert all(made[kind] == 2 * KINDS.count(kind) for kind in set(KINDS) - {"word"})
    again = non_words(digits, "validation", 20)
    for clip, same in zip(clips, again, strict=True):
        waveform = clip.waveform()
        assert np.isfinite(waveform).all()
        assert waveform.size >= 0.1 * 16_000
        np.testing.assert_array_equal(waveform, same.waveform())


@pytest.fixture
def recordings_of_words(spoken_corpus: Path, tmp_path: Path) -> Path:
    """Forty speakers say a word that is no digit; two files bear no speaker's name."""
    folder = tmp_path / "words"
    folder.mkdir()
    sound = next(spoken_corpus.glob("*.wav"))
    names = [f"bed_{speaker}_{take}" for speaker in range(40) for take in range(2)]
    for name in (*names, "cough", "door slam"):
        shutil.copy(sound, folder / f"{name}.wav")
    return folder


def test_recordings_of_a_speaker_are_in_one_part(recordings_of_words: Path) -> None:
    folders = [str(recordings_of_words)]
    speakers = [{clip.speaker for clip in recorded_non_words(folders, part)} for part in PARTS]
    assert all(speakers)
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 42
    clips = recorded_non_words(folders)
    assert len(clips) == len({clip.clip_id for clip in clips}) == 82
    assert {clip.label for clip in clips} == {REJECT_LABEL}


def test_rare_words_are_learned_from_as_often_as_others(spoken_corpus: Path, tmp_path: Path) -> None:
    sound = next(spoken_corpus.glob("*.wav"))
    counts = {"go": 40, "on": 10, "bed": 1}
    for word, number in counts.items():
        for speaker in range(number):
            shutil.copy(sound, tmp_path / f"{word}_{speaker}_0.wav")
    shutil.copy(sound, tmp_path / "cough.wav")
    recorded = recorded_non_words([str(tmp_path)])
    clips = repeat_rare_words(recorded)
    assert set(recorded) < set(clips)
    assert len({clip.clip_id for clip in clips}) == len(clips)
    often = Counter(Path(clip.clip_id).stem.split("_")[0] for clip in clips)
    assert often == {"go": 40, "on": 20, "bed": MAX_REPETITIONS, "cough": 1}  # the mean is 17


def test_recordings_stand_in_for_synthetic_words(recordings_of_words: Path, spoken_corpus: Path) -> None:
    digits = load_corpus(str(spoken_corpus)).clips
    recorded = recorded_non_words([str(recordings_of_words)])
    clips = non_words(digits, "train", 100, recorded)
    assert set(recorded) < set(clips)
    # Half of a hundred are no words, and a third of the words are spoken by espeak-ng in any case.
    assert len(clips) == 50 + len(recorded) + round(50 / 3)


def test_what_cannot_be_used_is_told(spoken_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no audio files"):
        recorded_non_words([str(tmp_path)])
    with pytest.raises(CorpusError, match="a word of the vocabulary: keep such recordings out"):
        recorded_non_words([str(spoken_corpus)])
