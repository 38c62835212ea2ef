"""The learning curve: what is drawn, what is kept and gone on with, and what it prints."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks import learning_curve
from benchmarks.learning_curve import FITS_FILE, Fit, draw_clips, main, table_lines
from finetune.corpus.loading import load_corpus
from inference.errors import UserError
from inference.vocabulary import DIGITS


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Tones that tell the digits apart, of four speakers to learn from and two new ones."""
    folders = tuple(tmp_path_factory.mktemp(name) for name in ("learn", "new"))
    for folder, speakers in zip(folders, (("ann", "bob", "cat", "dan"), ("eve", "fay")), strict=True):
        for number, speaker in enumerate(speakers):
            for label in DIGITS.labels:
                for take in range(3):
                    generator = np.random.default_rng([number, take, len(folder.name)])
                    time = np.arange(4000) / 8000
                    tone = np.sin(2 * np.pi * (200 + 250 * int(label) + 5 * number) * time)
                    samples = (8000 * tone + 500 * generator.standard_normal(4000)).astype("<i2")
                    with wave.open(str(folder / f"{label}_{speaker}_{take}.wav"), "wb") as clip:
                        clip.setnchannels(1)
                        clip.setsampwidth(2)
                        clip.setframerate(8000)
                        clip.writeframes(samples.tobytes())
    return folders[0], folders[1]


def options(voices: tuple[Path, Path], out: Path) -> list[str]:
    words = f"--model mfcc-logreg --dataset {voices[0]} --test {voices[1]} --clips-per-label 2 4 --draws 2"
    return [*words.split(), "--out", str(out)]


def test_a_killed_curve_goes_on_and_ends_the_same(
    voices: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = options(voices, tmp_path)
    fit, calls = learning_curve._fit, []

    def interrupted(*arguments: object) -> Fit:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(learning_curve, "_fit", interrupted)
    main(asked)
    kept = (tmp_path / FITS_FILE).read_text()
    assert len(kept.splitlines()) == 1
    assert main(asked) == 0
    assert len(calls) == 2 + 3
    lines = (tmp_path / FITS_FILE).read_text()
    assert lines.startswith(kept)
    fits = [json.loads(line) for line in lines.splitlines()]
    assert [(one["clips_per_label"], one["draw"]) for one in fits] == [(2, 0), (2, 1), (4, 0), (4, 1)]
    assert all(one["num_test_clips"] == 60 for one in fits)
    assert fits[-1]["accuracy"] > 0.5
    told = capsys.readouterr()
    assert "| 4 clips per word |        4 |" in told.out
    assert "[4/4] mfcc-logreg, 4 clips per word of 4 speakers" in told.err
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert main([*asked, "--synthetic-share", "0.1"]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_clips_are_drawn_from_so_many_speakers(voices: tuple[Path, Path]) -> None:
    pool = load_corpus(str(voices[0])).clips
    for draw in range(3):
        drawn = draw_clips(pool, 3, 2, draw)
        assert len({clip.speaker for clip in drawn}) == 2
        assert [sum(clip.label == label for clip in drawn) for label in DIGITS.labels] == [3] * 10
    assert draw_clips(pool, 3, 2, 0) == draw_clips(pool, 3, 2, 0)
    with pytest.raises(UserError, match="the recordings are of 4"):
        draw_clips(pool, 3, 5, 0)
    with pytest.raises(UserError, match="said no 7"):
        draw_clips([clip for clip in pool if clip.label != "7"], 3, None, 0)


def test_what_is_learned_from_is_not_asked_about(
    voices: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options((voices[0], voices[0]), tmp_path)) == 2
    assert not (tmp_path / FITS_FILE).exists()


def test_the_table_tells_intervals_speakers_and_what_was_short() -> None:
    fits = [
        Fit("x", model, 10, speakers, draw, 5 + draw, 8, share + draw / 100, 50, 1.0)
        for model, share in (("one", 0.8), ("two", 0.9))
        for speakers in (None, 3)
        for draw in range(3)
    ]
    text = "\n".join(table_lines(fits))
    assert "10 clips per word (8 of some) |   5 to 7 | 81.0 [78.5, 83.5] | 91.0 [88.5, 93.5]" in text
    assert len([line for line in text.splitlines() if line.startswith("| 10 clips")]) == 2
