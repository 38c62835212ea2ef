"""Several corpora at once: who is who, how many of each, and nothing on both sides."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from finetune.corpus.clip import Clip
from finetune.corpus.mixture import (
    NOTICE_NAME,
    at_most_per_label,
    load_corpora,
    read_notice,
    refuse_shared_recordings,
)
from inference.errors import CorpusError


def write_clips(folder: Path, *names: str, seed: int = 0) -> str:
    """A folder of noise, another in each file."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for name in names:
        soundfile.write(folder / f"{name}.wav", generator.uniform(-0.1, 0.1, 2000), 16_000)
    return str(folder)


def clip(label: str, speaker: str, index: int) -> Clip:
    return Clip(f"{label}_{speaker}_{index}", label, speaker, index, False, lambda: b"")


def test_speakers_of_one_name_are_two_people(tmp_path: Path) -> None:
    datasets = [
        write_clips(tmp_path / "mine", "7_ann_0", "7_bob_0"),
        write_clips(tmp_path / "theirs", "7_ann_0", "8_cat_0", seed=1),
    ]
    mine, theirs = load_corpora(datasets)
    assert mine.speakers == ("ann", "bob")
    renamed = f"{tmp_path.name}-theirs-ann"
    assert set(theirs.speakers) == {renamed, "cat"}
    assert {found.clip_id for found in theirs.clips} == {f"7_{renamed}_0", "8_cat_0"}
    assert all(found.names_its_recording for found in theirs.clips)
    refuse_shared_recordings(mine.clips, theirs.clips)


def test_a_recording_under_another_name_is_found(tmp_path: Path) -> None:
    datasets = [
        write_clips(tmp_path / "mine", "7_ann_0"),
        write_clips(tmp_path / "theirs", "8_cat_0", seed=1),
    ]
    shutil.copy(Path(datasets[0], "7_ann_0.wav"), Path(datasets[1], "7_dan_5.wav"))
    mine, theirs = load_corpora(datasets)
    with pytest.raises(CorpusError, match=r"1 recordings are both .* 7_dan_5 is also 7_ann_0"):
        refuse_shared_recordings(mine.clips, theirs.clips)


def test_a_corpus_named_twice_is_refused(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "mine", "7_ann_0")
    first, second, *_ = load_corpora([folder, folder])
    with pytest.raises(CorpusError, match="both learned from and measured on"):
        refuse_shared_recordings(first.clips, second.clips)
    with pytest.raises(CorpusError, match="named twice"):
        load_corpora([folder, folder, folder])


def test_a_cap_keeps_as_many_speakers_as_it_can() -> None:
    clips = [clip("7", "ann", take) for take in range(50)] + [clip("7", name, 0) for name in "bcde"]
    clips += [clip("8", "ann", 0)]
    kept = at_most_per_label(clips, 6, seed=0)
    assert Counter(found.label for found in kept) == {"7": 6, "8": 1}
    assert {found.speaker for found in kept} == {"ann", *"bcde"}
    assert list(kept) == [found for found in clips if found in kept]
    assert kept == at_most_per_label(clips, 6, seed=0) != at_most_per_label(clips, 6, seed=1)
    assert at_most_per_label(clips, None, seed=0) == tuple(clips)


def test_a_notice_is_read_where_there_is_one(tmp_path: Path) -> None:
    assert read_notice(str(tmp_path)) == read_notice("owner/name") == ""
    (tmp_path / NOTICE_NAME).write_text("By Ann, CC BY 4.0.\n")
    assert read_notice(str(tmp_path)) == "By Ann, CC BY 4.0."
    (tmp_path / NOTICE_NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match="cannot be read as text"):
        read_notice(str(tmp_path))
