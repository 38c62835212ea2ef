"""A folder of any layout: every file becomes a clip, or is named as left out."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from finetune.corpus.clip import Corpus
from finetune.corpus.folder import label_names
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from inference.audio_files import AUDIO_SUFFIXES
from inference.errors import CorpusError
from inference.vocabulary import DIGITS

WORDS = [forms[0] for forms in DIGITS.spoken_forms.values()]


@pytest.fixture
def make(tmp_path: Path):
    """Makes empty files below a folder and loads them: nothing is decoded before it is needed."""

    def make(*names: str, folder: str = "corpus") -> Corpus:
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return load_corpus(str(tmp_path / folder))

    return make


def label_folders(takes: int = 5) -> list[str]:
    return [f"{word}/recording-{take}.wav" for word in WORDS for take in range(takes)]


def test_file_names_do_not_split(make) -> None:
    """Neither words such as test in names, nor anything else but folders named after the parts."""
    plain = make(*label_folders(), folder="plain")
    assert (len(plain.clips), sum(clip.official_test for clip in plain.clips)) == (50, 10)
    for number, names in enumerate(
        (
            ["mic-test-8", "three eval", "train", "dev_2", "validation-1"],
            ["test", "testing", "eval", "valid", "train-00000-of-00001"],
        )
    ):
        corpus = make(*(f"{word}/{name}.wav" for word in WORDS for name in names), folder=f"odd-{number}")
        assert (len(corpus.clips), sum(clip.official_test for clip in corpus.clips)) == (50, 10)
        assert not any(clip.official_validation for clip in corpus.clips)


@pytest.mark.parametrize("folder", ["rec [2024]", "test", "a*b", "train {x}", "caf\u00e9 \u6570\u5b57"])
def test_any_name_of_the_folder_will_do(make, folder: str) -> None:
    assert len(make(*label_folders(), folder=folder).clips) == 50


def test_folders_of_parts_split(make) -> None:
    names = [f"{part}/{name}" for part in ("Train", "validation", "test") for name in label_folders(2)]
    corpus = make(*names)
    split = make_split(corpus.clips)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [20, 20, 20]
    assert all(clip.clip_id.startswith("validation/") for clip in split.validation)
    named = make("train/7_ann_0.wav", "train/7_bob_1.wav", "test/7_ann_9.wav", folder="named")
    assert [clip.clip_id for clip in named.clips if clip.official_test] == ["7_ann_9"]


def test_without_a_test_folder_one_is_chosen_from_the_training_part(make) -> None:
    corpus = make(*(f"{part}/{name}" for part in ("train", "validation") for name in label_folders()))
    assert sum(clip.official_test for clip in corpus.clips) == 10
    assert not any(clip.official_test and clip.official_validation for clip in corpus.clips)


def test_what_a_system_adds_is_no_part_of_a_corpus(make) -> None:
    added = [
        ".ipynb_checkpoints/one/recording-0.wav",
        "one/.ipynb_checkpoints/recording-0-checkpoint.wav",
        "__MACOSX/one/._recording-0.wav",
        "one/._recording-0.wav",
        ".DS_Store",
    ]
    corpus = make(*label_folders(), *added)
    assert len(corpus.clips) == 50
    assert "left out" not in corpus.description
    names = make("7_ann_3.wav", "._7_ann_3.wav", ".ipynb_checkpoints/7_ann_3-checkpoint.wav", folder="named")
    assert len(names.clips) == 1


def test_folders_of_other_words_are_named(make) -> None:
    others = ["bird/a.wav", "bird/b.wav", "_background_noise_/hum.wav", "one.wav", "one/notes.txt"]
    corpus = make(*label_folders(), *others)
    assert len(corpus.clips) == 50
    left_out = "left out: 2 clips of bird, 1 clips of _background_noise_, 1 clips of no label folder, 1 .txt"
    assert corpus.description.endswith(left_out)
    many = make(*label_folders(1), *(f"word{number:02}/a.wav" for number in range(25)), folder="many")
    assert many.description.count("clips of word") == 8
    assert many.description.endswith("17 clips of 17 other words")


def test_every_suffix_counts_in_every_layout(make) -> None:
    suffixes = sorted(AUDIO_SUFFIXES)
    assert {".wav", ".webm", ".aiff", ".m4a", ".mp4", ".3gp"} <= AUDIO_SUFFIXES
    for layout in ("{word}/a-{number}{suffix}", "{label}_ann_{number}{suffix}"):
        names = [
            layout.format(
                word=word, label=label, number=number, suffix=suffix.upper() if number % 2 else suffix
            )
            for label, word in enumerate(WORDS)
            for number, suffix in enumerate(suffixes)
        ]
        assert len(make(*names, folder=f"as {len(layout)}").clips) == 10 * len(suffixes)


def test_clips_of_several_formats_are_read(tmp_path: Path) -> None:
    (tmp_path / "seven").mkdir()
    sound = tmp_path / "seven" / "a.aiff"
    soundfile.write(sound, np.sin(np.arange(8000) * 0.2) / 2, 16_000)
    for name in ("b.webm", "c.m4a", "d.mp4", "e.wav"):
        codec = ["-c:a", "adpcm_ima_wav"] if name == "e.wav" else []
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", "-i", sound, *codec, sound.with_name(name)], check=True
        )
    clips = load_corpus(str(tmp_path)).clips
    assert [clip.clip_id[-1] for clip in clips] == list("abcde")
    assert all(0.45 < clip.waveform().size / 16_000 < 0.65 for clip in clips)


def test_clips_of_a_label_may_lie_deeper(make) -> None:
    corpus = make("one/ann/1.wav", "one/bob/1.wav", "two/1.wav")
    assert [clip.clip_id for clip in corpus.clips] == ["train/1/ann/1", "train/1/bob/1", "train/2/1"]


def test_absent_labels_are_named(make) -> None:
    corpus = make(*(name for name in label_folders() if not name.startswith("three")), "four/more.wav")
    split = make_split(corpus.clips)
    assert split.absent_labels == {part: ["3"] for part in ("training", "validation", "test")}
    caption = "; no clips of 3 in training; no clips of 3 in validation; no clips of 3 in test"
    assert split.caption.endswith(caption)
    assert make_split(make(*label_folders(), folder="all").clips).absent_labels == {}


def write_table(folder: Path, text: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "metadata.csv").write_text(text, encoding="utf-8-sig")
    return str(folder)


def test_table_of_labels_and_speakers(make, tmp_path: Path) -> None:
    rows = "train/a.wav,seven,ann\ntrain/b.wav,7,bob\ntest/c.wav,Seven,cid\ntrain/d.wav,bird,ann\n"
    folder = write_table(tmp_path / "corpus", f"file_name,label,speaker\n{rows}")
    corpus = make(*(f"{place}.wav" for place in ("train/a", "train/b", "test/c", "train/d", "train/e")))
    assert [(c.clip_id, c.label, c.speaker) for c in corpus.clips] == [
        ("test/7/c", "7", "cid"),
        ("train/7/a", "7", "ann"),
        ("train/7/b", "7", "bob"),
    ]
    assert [clip.official_test for clip in corpus.clips] == [True, False, False]
    left_out = "left out: 1 clips of bird, 1 files that metadata.csv does not list"
    assert corpus.description.endswith(left_out)
    assert Path(folder, "metadata.csv").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,word\na.wav,seven\n", "lacks the column label; found file_name, word"),
        ("", "lacks the column file_name and label; found nothing"),
        ("file_name,label\nb.wav,seven\n", "lists b.wav, which is not there"),
        ("file_name,label\na.wav\n", "line 2: expected a file_name and a label"),
        ("file_name,label\na.wav,bird\n", "holds no clips"),
    ],
)
def test_unusable_tables_say_why(make, tmp_path: Path, text: str, message: str) -> None:
    write_table(tmp_path / "corpus", text)
    with pytest.raises(CorpusError, match=message):
        make("a.wav")


def test_two_files_of_one_name_are_named(make) -> None:
    with pytest.raises(CorpusError, match="two clips are called train/1/a"):
        make("one/a.wav", "one/a.mp3")


def test_folders_of_plain_names_are_labels_and_those_of_speakers_are_not(tmp_path: Path) -> None:
    for name in ("words/yes/a.wav", "words/no/b.wav", "people/anna/7_anna_0.wav", "people/ben/7_ben_0.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert label_names(tmp_path / "words") == {"yes", "no"}
    assert label_names(tmp_path / "people") == {"7"}
