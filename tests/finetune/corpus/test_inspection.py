"""What ``python -m finetune.corpus`` finds in a corpus whose faults are known."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from finetune.corpus.__main__ import main
from finetune.corpus.inspection import find_label_errors
from inference.audio import SAMPLING_RATE, decode_audio
from inference.vocabulary import VARIABLE


@pytest.fixture
def corpus(spoken_corpus: Path, tmp_path: Path) -> Path:
    """Synthetic voices with one fault of each kind."""
    folder = tmp_path / "corpus"
    shutil.copytree(spoken_corpus, folder)
    voice = next(spoken_corpus.glob("3_*_0.wav")).stem.split("_")[1]
    waveform = decode_audio(folder / f"3_{voice}_0.wav")
    shutil.copy(folder / f"3_{voice}_0.wav", folder / f"3_{voice}_90.wav")
    soundfile.write(folder / f"3_{voice}_91.wav", waveform * 0.7, SAMPLING_RATE)
    middle = waveform.size // 2
    cut = np.clip(waveform[middle - 2000 : middle + 2000] * 50.0, -1.0, 1.0)
    soundfile.write(folder / f"3_{voice}_92.wav", cut, SAMPLING_RATE)
    (folder / f"3_{voice}_93.wav").write_bytes(b"no sound")
    shutil.copy(folder / f"7_{voice}_1.wav", folder / f"8_{voice}_94.wav")
    (folder / f"7_{voice}_1.wav").unlink()
    return folder


def test_faults_are_found_and_one_bad_file_is_one_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([str(corpus), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "clips.csv", keep_default_na=False)
    assert len(table) == len(list(corpus.glob("*.wav")))
    rows = {int(name.rsplit("_", 1)[1]): row for name, row in table.set_index("clip").iterrows()}
    assert rows[90]["copy_of"].endswith("_0")
    assert rows[91]["near"].startswith("3_")
    assert (rows[92]["cut_at_start"], rows[92]["cut_at_end"]) == ("True", "True")
    assert float(rows[92]["clipped_share"]) > 0.1
    assert rows[93]["seconds"] == ""
    assert (rows[94]["label"], str(rows[94]["suggested_label"])) == (8, "7")
    assert sum("_93" in line for line in printed.splitlines()) == 1
    assert "1 clips cannot be read:" in printed
    for name in ("histograms.png", "labels.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_planted_swaps_are_found_and_little_else() -> None:
    """Gaussian classes that overlap a little, and speakers who differ."""
    generator = np.random.default_rng(0)
    true_ids = np.tile(np.arange(5), 100)
    speakers = np.repeat(np.arange(20), 25)
    statistics = 4.0 * generator.standard_normal((5, 30))[true_ids] / 5**0.5
    statistics += generator.standard_normal((20, 30))[speakers] * 0.5
    statistics += generator.standard_normal(statistics.shape)
    swapped = generator.permutation(500)[:25]
    labels = true_ids.copy()
    labels[swapped] = (labels[swapped] + generator.integers(1, 5, 25)) % 5
    table = pd.DataFrame({"label": labels.astype(str), "speaker": speakers.astype(str)})
    found = find_label_errors(table, statistics)
    flagged = np.flatnonzero(found["suggested_label"] != "")
    assert len(set(flagged) & set(swapped)) >= 0.9 * len(swapped)
    assert len(set(flagged) & set(swapped)) >= 0.7 * len(flagged)
    right = found["suggested_label"].to_numpy()[swapped] == true_ids[swapped].astype(str)
    assert right.mean() > 0.8


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "holds no audio files"),
        (("yes/a.wav",), "not named {label}_{speaker}_{index}"),
        (("yes_ann_0.wav",), "a vocabulary needs two labels or more, received 1"),
    ],
)
def test_what_is_no_corpus_is_said_in_a_sentence(
    names: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "corpus").mkdir()
    for name in names:
        (tmp_path / "corpus" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "corpus" / name).touch()
    assert main([str(tmp_path / "corpus"), "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_labels_come_from_the_folders(
    spoken_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Three words, one of them with a single clip."""
    monkeypatch.setenv(VARIABLE, "")
    for number, word in enumerate(("up", "down", "left")):
        (tmp_path / "corpus" / word).mkdir(parents=True)
        for path in sorted(spoken_corpus.glob(f"{number}_*.wav"))[: 1 if word == "left" else 12]:
            shutil.copy(path, tmp_path / "corpus" / word / f"take-{path.stem}.wav")
    assert main([str(tmp_path / "corpus"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "vocabulary from the labels of" in printed.err
    assert "down, left, up" in printed.err
    assert "label left has 1 readable clips" in printed.out
