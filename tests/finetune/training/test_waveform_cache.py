"""Decoded audio is kept: equal to what decoding gives, made once, renewed when a clip changes."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from datasets.arrow_writer import ArrowWriter

from finetune.corpus.clip import Clip, clip_from_path
from finetune.training.waveform_cache import WaveformCache
from inference.errors import CorpusError


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    found = []
    for index in range(3):
        path = tmp_path / f"7_ann_{index}.wav"
        soundfile.write(path, generator.uniform(-0.5, 0.5, 4000 + 100 * index), 8000)
        found.append(clip_from_path(path))
    return found


def refuse(clip: Clip) -> Clip:
    """The same clip, which must not be decoded again."""

    class Undecodable(type(clip)):
        def waveform(self):
            raise AssertionError("decoded twice")

    return Undecodable(**vars(clip))


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "spoken-digits").iterdir())


def test_same_waveforms_and_no_second_decoding(clips: list[Clip], tmp_path: Path) -> None:
    first = WaveformCache(clips)
    assert list(first) == [clip.clip_id for clip in clips]
    again = WaveformCache([refuse(clip) for clip in clips])
    for clip in clips:
        np.testing.assert_array_equal(again[clip.clip_id], clip.waveform())
    assert again["7_ann_0"].dtype == np.float32
    assert not again["7_ann_0"].flags.owndata  # a view of the mapped file
    assert len(files(tmp_path)) == 1


def test_changed_clip_is_decoded_again(clips: list[Clip], tmp_path: Path) -> None:
    WaveformCache(clips)
    soundfile.write(tmp_path / "7_ann_1.wav", np.zeros(9000), 8000)
    assert WaveformCache(clips)["7_ann_1"].size == 18_000


def test_encoded_bytes_are_told_apart(clips: list[Clip], tmp_path: Path) -> None:
    encoded = [(tmp_path / f"7_ann_{index}.wav").read_bytes() for index in (0, 1)]
    for content in encoded:
        clip = replace(clips[0], read=lambda content=content: content)
        np.testing.assert_array_equal(WaveformCache([clip])["7_ann_0"], clip.waveform())
    assert len(files(tmp_path)) == 2


def test_unreadable_clip_is_named_and_leaves_nothing(clips: list[Clip], tmp_path: Path) -> None:
    (tmp_path / "7_ann_2.wav").write_bytes(b"no audio")
    with pytest.raises(CorpusError, match=r"clip 7_ann_2: .*Repair or remove it"):
        WaveformCache(clips)
    assert files(tmp_path) == []


def test_full_disk_is_explained(clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ArrowWriter, "write", full)
    with pytest.raises(CorpusError, match=r"No space left on device.*XDG_CACHE_HOME"):
        WaveformCache(clips)
    assert files(tmp_path) == []


@pytest.mark.parametrize("limit", [{"MAX_FILES": 2}, {"MAX_BYTES": 1}])
def test_what_was_not_used_for_longest_is_removed(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, int]
) -> None:
    for number in range(3):
        WaveformCache(clips[number:])
        made = max(files(tmp_path), key=lambda path: path.stat().st_mtime_ns)
        os.utime(made, (number, number))
    WaveformCache(clips)  # the oldest is used again
    for name, value in limit.items():
        monkeypatch.setattr(f"finetune.training.waveform_cache.{name}", value)
    cache = WaveformCache([clips[0]])
    assert len(files(tmp_path)) == limit.get("MAX_FILES", 1)
    if "MAX_FILES" in limit:
        WaveformCache([refuse(clip) for clip in clips])
    assert cache["7_ann_0"].size > 0
