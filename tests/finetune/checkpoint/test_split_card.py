import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from finetune.checkpoint.split_card import SplitCard, read_split_card
from finetune.corpus.clip import Clip, Corpus
from finetune.corpus.splits import make_split
from inference.audio import waveform_hash
from inference.errors import CheckpointError
from inference.vocabulary import DIGITS


def wav(samples: np.ndarray) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, 16_000, format="WAV")
    return content.getvalue()


def corpus_of(name: str, speakers: str, prefix: str = "") -> Corpus:
    sound = wav(np.full(2000, 0.1))
    clips = [
        Clip(f"{prefix}{label}_{speaker}_{take}", label, speaker, take, take < 5, lambda: sound)
        for label in DIGITS.labels
        for speaker in speakers
        for take in range(8)
    ]
    return Corpus(name, name, tuple(clips))


@pytest.fixture
def card() -> SplitCard:
    corpus = corpus_of("fsdd", "abc")
    return SplitCard.from_split(corpus, make_split(corpus.clips))


def test_survives_the_disk(card: SplitCard, tmp_path: Path) -> None:
    card.write(tmp_path)
    assert read_split_card(tmp_path) == card
    (tmp_path / "train_clips.txt").unlink()
    with pytest.raises(CheckpointError, match="no train_clips"):
        read_split_card(tmp_path)
    (tmp_path / "split_card.json").unlink()
    assert read_split_card(tmp_path) is None


def test_a_part_of_the_corpus_under_another_name_still_leaks(card: SplitCard) -> None:
    part = corpus_of("folder", "ab")
    split = make_split(corpus_of("folder", "abd").clips, "loso", fold="a")
    assert len(card.leaked(part, split.test)) == 3 * len(DIGITS.labels)
    assert card.leaked(part, make_split(part.clips).test) == []


def test_speakers_who_were_learned_from_are_not_held_out(card: SplitCard) -> None:
    corpus = corpus_of("fsdd", "abd")
    unheard_takes = make_split(corpus.clips).test
    assert card.leaked(corpus, unheard_takes) == []
    leaked = card.leaked(corpus, unheard_takes, held_out_speakers=True)
    assert {clip_id.split("_")[1] for clip_id in leaked} == {"a", "b"}


def test_ids_without_a_speaker_are_compared_within_their_corpus(card: SplitCard) -> None:
    rows = corpus_of("mine", "abc", prefix="train/")
    own = SplitCard.from_split(rows, make_split(rows.clips))
    assert own.leaked(rows, rows.clips)
    assert own.leaked(corpus_of("other", "abc", prefix="train/"), rows.clips) == []


def test_a_recording_under_another_name_leaks(card: SplitCard, tmp_path: Path) -> None:
    card.write(tmp_path)
    renamed = corpus_of("mine", "xyz", prefix="copy/")
    hashes = {clip.clip_id: waveform_hash(clip.waveform()) for clip in renamed.clips}
    assert len(read_split_card(tmp_path).leaked(renamed, renamed.clips, hashes)) == len(renamed.clips)
    assert card.leaked(renamed, renamed.clips, dict.fromkeys(hashes, "0" * 16)) == []
