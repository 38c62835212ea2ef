"""Every layout of clips gives the same kind of corpus."""

import shutil
import socket
import threading
import time
from pathlib import Path

import datasets
import pytest

from finetune.corpus import synthetic, tables
from finetune.corpus.clip import FSDD_SPEAKERS, clip_from_path
from finetune.corpus.loading import DATA_VARIABLE, load_corpus
from finetune.corpus.splits import make_split
from inference.errors import CorpusError, HubUnreachableError, UserError
from inference.vocabulary import DIGITS


def test_names_of_clips() -> None:
    clip = clip_from_path(Path("x/7_jackson_32.wav"))
    assert (clip.clip_id, clip.label, clip.speaker, clip.index) == ("7_jackson_32", "7", "jackson", 32)
    assert not clip.official_test
    assert clip_from_path(Path("0_en_us-f3_4.wav")).speaker == "en_us-f3"
    assert clip_from_path(Path("0_01_4.wav")).official_test
    assert clip_from_path(Path("hello.wav")) is None


def test_folder_flat_and_nested_agree(spoken_corpus: Path, tmp_path: Path) -> None:
    flat = load_corpus(str(spoken_corpus))
    for path in spoken_corpus.glob("*.wav"):
        nested = tmp_path / f"speaker {path.stem.split('_')[1]}"
        nested.mkdir(exist_ok=True)
        shutil.copy(path, nested)
    assert load_corpus(str(tmp_path)).clips == flat.clips
    assert len(flat.clips) == 4 * 7 * len(DIGITS.labels)
    assert len(flat.speakers) == 4


def test_audiofolder_by_label_and_split(spoken_corpus: Path, tmp_path: Path) -> None:
    for path in sorted(spoken_corpus.glob("[0-2]_*.wav")):
        clip = clip_from_path(path)
        folder = tmp_path / ("test" if clip.official_test else "train") / DIGITS.spoken_forms[clip.label][0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    corpus = load_corpus(str(tmp_path))
    assert corpus.name == "audiofolder"
    expected = [clip for clip in load_corpus(str(spoken_corpus)).clips if clip.label in "012"]
    assert [(c.clip_id, c.label, c.speaker, c.official_test) for c in corpus.clips] == [
        (c.clip_id, c.label, c.speaker, c.official_test) for c in expected
    ]
    assert (corpus.clips[0].waveform() == expected[0].waveform()).all()


def test_speaker_folders_that_look_like_labels_are_refused(spoken_corpus: Path, tmp_path: Path) -> None:
    for speaker, path in enumerate(sorted(spoken_corpus.glob("7_*_0.wav"))):
        folder = tmp_path / str(speaker)
        folder.mkdir()
        shutil.copy(path, folder / f"7_{speaker}_0.wav")
    with pytest.raises(CorpusError, match="the file name says 7, its folder or label column says"):
        load_corpus(str(tmp_path))


def test_fsdd_is_known_by_its_speakers(tmp_path: Path) -> None:
    for speaker in FSDD_SPEAKERS:
        (tmp_path / f"7_{speaker}_0.wav").touch()
    assert load_corpus(str(tmp_path)).name == "fsdd"
    (tmp_path / "7_ann_0.wav").touch()
    assert load_corpus(str(tmp_path)).name == "folder"


def test_audiofolder_without_speakers_gets_a_test_set(spoken_corpus: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(spoken_corpus.glob("[0-1]_*.wav"))):
        folder = tmp_path / path.name[0]
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder / f"recording-{number}.wav")
    corpus = load_corpus(str(tmp_path))
    assert corpus.speakers == ("unknown",)
    share = sum(clip.official_test for clip in corpus.clips) / len(corpus.clips)
    assert share == pytest.approx(0.2, abs=0.05)


@pytest.fixture
def hub_like(spoken_corpus: Path, tmp_path: Path) -> Path:
    """A dataset repository as the Hub serves it: Parquet files with audio bytes and class labels."""
    features = datasets.Features(
        {"audio": datasets.Audio(), "label": datasets.ClassLabel(names=list(DIGITS.labels))}
    )
    for split in ("train", "test"):
        paths = [
            p
            for p in sorted(spoken_corpus.glob("*.wav"))
            if clip_from_path(p).official_test == (split == "test")
        ]
        rows = {
            "audio": [{"path": p.name, "bytes": p.read_bytes()} for p in paths],
            "label": [int(p.name[0]) for p in paths],
        }
        (tmp_path / "data").mkdir(exist_ok=True)
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(str(tmp_path / "data" / f"{split}-00000-of-00001.parquet"))
    return tmp_path


def test_hub_dataset_equals_the_folder(hub_like: Path, spoken_corpus: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **kwargs: str(hub_like))
    corpus = load_corpus("hub")
    expected = load_corpus(str(spoken_corpus))
    assert corpus.clips == expected.clips
    assert corpus.name == tables.HUB_DATASET
    for clip, other in zip(corpus.clips[::50], expected.clips[::50], strict=True):
        assert (clip.waveform() == other.waveform()).all()


def test_reachable_hub_is_asked_even_with_a_cache(hub_like: Path, monkeypatch) -> None:
    """A download that was cut off leaves a cache that looks whole; only the Hub can complete it."""
    asked = []

    def download(repo_id: str, **options) -> str:
        asked.append(options)
        return str(hub_like)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr(tables, "hub_is_reachable", lambda: True)
    assert len(load_corpus("someone/digits").clips) == 4 * 7 * len(DIGITS.labels)
    monkeypatch.setattr(tables, "hub_is_reachable", lambda: False)
    assert load_corpus("someone/digits").description.endswith("from the Hub dataset someone/digits")
    assert [options.get("local_files_only") for options in asked] == [False, True]


def test_unreachable_hub_is_one_sentence(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(HubUnreachableError, match=r"nobody/nothing is not in the cache.*--dataset synthetic"):
        load_corpus("nobody/nothing")


def test_a_cache_of_tables_that_cannot_be_written_is_no_damaged_audio(hub_like: Path, monkeypatch) -> None:
    (hub_like / "file").touch()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **kwargs: str(hub_like))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", hub_like / "file" / "cache")
    with pytest.raises(CorpusError, match=r"cache of the Hub cannot be used.* Set HF_HOME to a folder"):
        load_corpus("hub")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    table = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"sound": [1], "label": [0]})})
    with pytest.raises(CorpusError, match="lacks the column audio; found sound, label"):
        tables._corpus_from_tables(table, name="mine", origin="mine")


def test_auto_prefers_the_folder_in_the_environment(spoken_corpus: Path, monkeypatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(spoken_corpus))
    assert load_corpus("auto").clips == load_corpus(str(spoken_corpus)).clips
    monkeypatch.setenv(DATA_VARIABLE, str(spoken_corpus / "none"))
    with pytest.raises(CorpusError, match=f"{DATA_VARIABLE} is .* no folder"):
        load_corpus("auto")


def test_silent_hub_is_noticed_within_seconds(monkeypatch, tmp_path: Path) -> None:
    """A server that accepts and never answers must not hold up ``auto``."""
    silent = socket.create_server(("127.0.0.1", 0))
    accepted = []
    threading.Thread(target=lambda: accepted.append(silent.accept()), daemon=True).start()
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "load_synthetic", lambda: "synthetic")
    started = time.monotonic()
    assert load_corpus("auto") == "synthetic"
    assert time.monotonic() - started < 10
    silent.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "holds no audio files"),
        (lambda folder: (folder / "metadata.csv").touch(), "holds no audio files"),
        (lambda folder: (folder / "hello.wav").touch(), "hello.wav. Rename them"),
        (lambda folder: (folder / "eleven_ann_0.wav").touch(), "not in the vocabulary 0, 1"),
    ],
)
def test_unusable_folders_say_why(tmp_path: Path, make, message: str) -> None:
    make(tmp_path)
    with pytest.raises(CorpusError, match=message):
        load_corpus(str(tmp_path))


def test_unknown_source_lists_the_allowed() -> None:
    with pytest.raises(CorpusError, match="no folder and no known source"):
        load_corpus("no-such-thing")


def test_damaged_clip_is_named_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "3_ann_0.wav").write_text("text")
    (clip,) = load_corpus(str(tmp_path)).clips
    with pytest.raises(CorpusError, match=r"clip 3_ann_0: .*Repair or remove it"):
        clip.waveform()


def test_synthetic_plan_depends_on_the_seed_alone() -> None:
    assert synthetic.plan(3, 2, 2) == synthetic.plan(3, 2, 2)
    assert synthetic.plan(3, 2, 2) != synthetic.plan(4, 2, 2)


def test_synthetic_voices_are_learned_from_and_nothing_else(monkeypatch, tmp_path, spoken_corpus) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    corpus = load_corpus(str(spoken_corpus))
    split = make_split(corpus.clips)
    mixed = synthetic.with_synthetic(split, 0.5, corpus.name)
    assert (mixed.train, mixed.validation, mixed.test) == (split.train, split.validation, split.test)
    assert len(mixed.synthetic) / len(mixed.training_clips) == pytest.approx(0.5, abs=0.1)
    assert not {clip.clip_id for clip in mixed.synthetic} & {clip.clip_id for clip in corpus.clips}
    assert {clip.label for clip in mixed.synthetic} == {clip.label for clip in corpus.clips}
    assert synthetic.with_synthetic(split, 0.0, corpus.name) == split
    for share in (-0.1, 1.0):
        with pytest.raises(UserError, match="from 0 to below 1"):
            synthetic.with_synthetic(split, share, corpus.name)
    assert synthetic.with_synthetic(split, 0.1, "synthetic") == split


def test_a_longer_plan_of_training_voices_starts_with_the_shorter() -> None:
    assert synthetic.training_plan(5)[:20] == synthetic.training_plan(2)


def test_synthetic_speech_is_the_same_each_time() -> None:
    first, second = (synthetic.speak("seven", "en-us+f3") for _ in range(2))
    assert (first == second).all()
    assert 0.2 < first.size / 16_000 < 1.0


def test_missing_programs_are_named_with_their_package(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for program, version in (("espeak-ng", synthetic.espeak_version), ("flite", synthetic.flite_version)):
        with pytest.raises(CorpusError, match=f"apt-get install {program}"):
            version()


@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
def test_flite_speaks_with_voices_of_its_own(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(synthetic, "NUM_FLITE_TAKES", 1)
    corpus = load_corpus("flite")
    assert corpus.speakers == tuple(sorted(synthetic.FLITE_VOICES))
    assert all(clip.names_its_recording for clip in corpus.clips)
    words = {clip.speaker: clip.waveform() for clip in corpus.clips if clip.label == "7"}
    assert all(0.2 < word.size / 16_000 < 1.5 for word in words.values())
    slow, fast = (synthetic.speak("seven", "flite-slt", words_per_minute=rate) for rate in (110, 220))
    assert slow.size > 1.5 * fast.size
