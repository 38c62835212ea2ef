"""What each part is worth: PCEN and groups by hand, and a whole table of a corpus of four speakers."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from benchmarks.ablation import (
    AS_SHIPPED,
    SETTINGS,
    feature_variants,
    groups_of_statistics,
    lost_by_shuffling,
    main,
    pcen,
)
from inference.features import mfcc_statistics, num_statistics, word_log_mel


def test_pcen_is_that_of_the_paper() -> None:
    energies = np.random.default_rng(0).random((30, 4)) * 1e-3
    smooth, expected = energies[0] * 2.0**30, []
    for frame in energies * 2.0**30:
        smooth = 0.975 * smooth + 0.025 * frame
        expected.append((frame / (1e-6 + smooth) ** 0.98 + 2.0) ** 0.5 - 2.0**0.5)
    np.testing.assert_allclose(pcen(energies), expected, rtol=1e-6)


def test_the_first_variant_is_what_ships() -> None:
    waveform = np.random.default_rng(0).normal(0.0, 0.1, 8000).astype(np.float32)
    settings = SETTINGS.__class__(floor_db=np.inf)
    found = feature_variants(word_log_mel(waveform, settings))
    np.testing.assert_array_equal(found[AS_SHIPPED], mfcc_statistics(waveform, SETTINGS))
    assert len({row.size for row in found.values()}) == 5  # CMVN and PCEN are as many as are shipped


def test_groups_name_every_statistic() -> None:
    groups = groups_of_statistics()
    assert set(np.concatenate(list(groups.values())).tolist()) == set(range(num_statistics(SETTINGS)))
    assert [groups[name].size for name in ("level", "c10", "all slopes", "every least", "duration")] == [
        2 * 9,
        2 * 9,
        11 * 9,
        22,
        1,
    ]
    assert groups["c1"][:3].tolist() == [1, 12, 23]  # mean, mean of the slope, deviation


def test_shuffling_costs_what_alone_tells_the_label() -> None:
    label_ids = np.tile([0, 1], 50)
    rows = np.zeros((100, num_statistics(SETTINGS)))
    rows[:, -1] = label_ids
    fitted = KNeighborsClassifier(1).fit(rows, label_ids)
    lost = dict(lost_by_shuffling(fitted, rows, label_ids))
    assert lost.pop("duration") == pytest.approx(0.5, abs=0.15)
    assert set(lost.values()) == {0.0}


def test_the_tables_of_a_corpus(spoken_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["--dataset", str(spoken_corpus), "--model", "mfcc-logreg", "--max-clips-per-label", "7"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert (tmp_path / "out" / "summary.md").read_text().endswith(out)
    assert "70 training clips of 4 speakers" in out
    with (tmp_path / "out" / "variants.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert len(rows) == 11
    shipped = rows[AS_SHIPPED]
    assert float(shipped["low"]) <= float(shipped["new_speakers"]) <= float(shipped["high"])
    assert float(shipped["change"]) == 0.0
    assert float(shipped["same_speakers"]) > 0.8
    assert f"{100 * float(rows['without slopes']['new_speakers']):.1f} (" in out
    with (tmp_path / "out" / "importance.csv").open() as file:
        assert [row["group"] for row in csv.DictReader(file)] == list(groups_of_statistics())


def test_one_speaker_is_told(spoken_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    voice = min(path.stem.split("_")[1] for path in spoken_corpus.glob("*.wav"))
    for path in spoken_corpus.glob(f"*_{voice}_*.wav"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert main(["--dataset", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "spoken by one speaker only" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
