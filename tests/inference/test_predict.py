"""The file command: one line per file whatever the file is."""

import contextlib
import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from inference import audio_files, predict
from inference.app.page import EXAMPLES
from inference.audio import SAMPLING_RATE, decode_audio
from inference.backends.table import load_backend
from inference.prediction import OperatingPoint
from inference.vocabulary import DIGITS
from tests.conftest import PROJECT


def test_folder_of_good_and_bad_files(spoken_corpus: Path, tmp_path: Path, run_module) -> None:
    clip = next(spoken_corpus.glob("7_*_0.wav"))
    nested = tmp_path / "nested"
    nested.mkdir()
    (tmp_path / "good.wav").write_bytes(clip.read_bytes())
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "notes.txt").write_text("left alone")
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", clip, nested / "good.ogg"], check=True)
    result = run_module("inference.predict", tmp_path, "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == predict.EXIT_SOME_UNREADABLE
    assert "Traceback" not in result.stderr
    by_name = {Path(record["path"]).name: record for record in records}
    assert set(by_name) == {"good.wav", "empty.wav", "text.wav", "good.ogg"}
    for name in ("good.wav", "good.ogg"):
        assert by_name[name]["error"] is None
        assert by_name[name]["label"] in DIGITS.labels
        assert 0 < by_name[name]["score"] <= 1
    assert "is empty" in by_name["empty.wav"]["error"]
    assert by_name["text.wav"]["label"] is None


def test_plain_lines_and_exit_code(recordings: Path, capsys: pytest.CaptureFixture) -> None:
    assert predict.main([str(recordings / "3_theo_1.wav")]) == 0
    path, label, score = capsys.readouterr().out.rstrip().split("\t")
    assert (Path(path).name, label) == ("3_theo_1.wav", "3")
    assert float(score) > 0.3


@pytest.mark.parametrize("backend", ["mfcc", "wav2vec2"])
def test_shipped_checkpoints_answer(backend: str, spoken_corpus: Path, capsys: pytest.CaptureFixture) -> None:
    clip = next(spoken_corpus.glob("*_0.wav"))
    assert predict.main([str(clip), "--backend", backend]) == 0
    assert capsys.readouterr().out.startswith(str(clip))


def test_missing_path_is_reported_and_the_rest_go_on(
    spoken_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    clip = next(spoken_corpus.glob("*.wav"))
    assert predict.main([str(tmp_path / "none.wav"), str(clip)]) == predict.EXIT_SOME_UNREADABLE
    captured = capsys.readouterr()
    assert "none.wav does not exist" in captured.err
    assert captured.out.startswith(str(clip))


def test_odd_places_are_reported_and_the_rest_go_on(spoken_corpus: Path, tmp_path: Path, run_module) -> None:
    clip = next(spoken_corpus.glob("7_*_0.wav")).read_bytes()
    for name in (b"good.wav", b"caf\xe9.wav", "\u516b.wav".encode(), b"new\nline.wav"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(clip)
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "empty").mkdir()
    result = run_module("inference.predict", tmp_path, tmp_path / "empty", "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert "Traceback" not in result.stderr
    assert result.returncode == predict.EXIT_SOME_UNREADABLE
    assert [record["error"] is None for record in records] == [True] * 4 + [False]
    assert "holds no audio files" in records[-1]["error"]
    assert len({tuple(record) for record in records}) == 1
    assert len({record["label"] for record in records[:-1]}) == 1
    plain = run_module("inference.predict", tmp_path)
    assert plain.returncode == 0, plain.stderr


def test_pipe_is_read() -> None:
    clip = EXAMPLES / "seven.flac"
    command = f"cat '{clip}' | '{sys.executable}' -m inference.predict --backend mfcc /dev/stdin"
    result = subprocess.run(["bash", "-c", command], cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\t")[1] == "7"


def test_what_a_folder_holds_besides_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    audio = [
        "a.mp4",
        "b.3gp",
        "c.wav",
        "d.caf",
        "e.oga",
        "f.mka",
        "g.au",
        "h.WAV",
        "i.wave",
        "j.aifc",
        "k.wv",
    ]
    others = [
        "._c.wav",
        ".DS_Store",
        "__MACOSX/._c.wav",
        ".ipynb_checkpoints/c.wav",
        "x.txt",
        "y.txt",
        "README",
    ]
    for name in audio + others:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert list(predict.find_audio([tmp_path])) == [(tmp_path / name, None) for name in audio]
    assert "left out: 2 .txt, 4 hidden, 1 without a suffix" in capsys.readouterr().err


def test_unlisted_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path, **options):
        options["onerror"](PermissionError(13, "Permission denied", str(path)))
        return iter(())

    monkeypatch.setattr(audio_files.os, "walk", refuse)
    assert list(predict.find_audio([tmp_path])) == [(tmp_path, "cannot be listed: Permission denied")]


def test_empty_path_is_not_the_current_folder(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        predict.main([""])
    assert "the path is empty" in capsys.readouterr().err


def test_missing_checkpoint_names_the_command_that_makes_one(
    spoken_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    clip = next(spoken_corpus.glob("*.wav"))
    assert predict.main([str(clip), "--checkpoint", str(tmp_path / "none")]) == 2
    assert "finetune.fit_baseline" in capsys.readouterr().err


def test_the_words_of_a_long_recording_come_with_their_times(
    spoken_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    clips = [decode_audio(next(spoken_corpus.glob(f"{digit}_*_0.wav"))) for digit in "314"]
    parts, expected, position = [], [], 0
    for clip in clips:
        parts += [np.zeros(SAMPLING_RATE), clip]
        position += SAMPLING_RATE
        expected.append((position / SAMPLING_RATE, (position + clip.size) / SAMPLING_RATE))
        position += clip.size
    soundfile.write(tmp_path / "long.flac", np.concatenate([*parts, np.zeros(SAMPLING_RATE)]), SAMPLING_RATE)
    (tmp_path / "broken.wav").write_text("no sound")
    paths = [str(tmp_path / "long.flac"), str(tmp_path / "broken.wav")]
    assert predict.main([*paths, "--segments", "--json"]) == predict.EXIT_SOME_UNREADABLE
    *words, broken = map(json.loads, capsys.readouterr().out.splitlines())
    assert [word.keys() for word in words] == [broken.keys()] * 3
    assert "broken.wav" in broken["error"]
    for word, (start_s, end_s) in zip(words, expected, strict=True):
        assert start_s - 0.1 < word["start_s"] < start_s + 0.2
        assert word["start_s"] < word["end_s"] < end_s + 0.2
    assert predict.main([paths[0], "--segments"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [float(line[1]) for line in lines] == [word["start_s"] for word in words]


def test_a_doubtful_file_is_rejected_as_calibrated(
    spoken_corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    clip = next(spoken_corpus.glob("*_0.wav"))
    backend = load_backend("mfcc")
    backend.operating_point = OperatingPoint(1.0, 1.0, 0.02, 0.05, 100, 100)
    monkeypatch.setattr("inference.backends.table.load_backend", lambda *arguments: backend)
    assert predict.main([str(clip), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["label"], record["reason"]) == (None, "low_score")
    assert record["score"] > 0


CLIPS = [str(EXAMPLES / f"{name}.flac") for name in ("three", "seven")]


def test_the_best_labels_stand_behind_the_score(capsys: pytest.CaptureFixture) -> None:
    assert predict.main([CLIPS[0], "--top-k", "2"]) == 0
    _, label, score, best, second = capsys.readouterr().out.rstrip().split("\t")
    assert (label, best) == ("3", f"3 {score}")
    assert 0 < float(second.split()[1]) < float(score)


def test_every_probability_is_in_the_json(capsys: pytest.CaptureFixture) -> None:
    assert predict.main([*CLIPS, "--json"]) == 0
    for line in capsys.readouterr().out.splitlines():
        record = json.loads(line)
        assert tuple(record["probabilities"]) == DIGITS.labels
        assert max(record["probabilities"], key=record["probabilities"].get) == record["label"]


@pytest.mark.parametrize("more", [[], ["--segments"]])
def test_a_table_has_the_same_columns_for_good_and_bad_files(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "bad, indeed.wav").write_text("no sound")
    assert predict.main([*CLIPS, str(tmp_path), "--csv", *more]) == predict.EXIT_SOME_UNREADABLE
    three, seven, bad = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (three["label"], seven["label"], bad["label"]) == ("3", "7", "")
    assert ("start_s" in three) == bool(more)
    assert float(three["probability_3"]) == float(three["score"])
    assert "bad, indeed.wav" in bad["error"]


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_one_file_is_timed(form: str, capsys: pytest.CaptureFixture) -> None:
    assert predict.main([CLIPS[0], "--repeat", "5", form]) == 0
    out = capsys.readouterr().out
    record = json.loads(out) if form == "--json" else next(csv.DictReader(io.StringIO(out)))
    assert (record["label"], int(record["calls"])) == ("3", 5)
    assert 0 < float(record["p50_ms"]) <= float(record["p95_ms"])
    seconds = decode_audio(CLIPS[0]).size / SAMPLING_RATE
    assert float(record["real_time_factor"]) * seconds * 1000 < 5 * float(record["p95_ms"])


@pytest.mark.parametrize(
    "arguments",
    [[*CLIPS, "--repeat", "2"], [str(EXAMPLES), "--repeat", "2"], [CLIPS[0], "--repeat", "2", "--segments"]],
)
def test_only_one_file_is_timed(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        predict.main(arguments)
    assert "--repeat times one file" in capsys.readouterr().err


def test_a_bar_is_drawn_on_a_terminal_and_never_between_the_lines(run_module) -> None:
    main_end, side = pty.openpty()
    result = subprocess.run(
        [sys.executable, "-m", "inference.predict", *CLIPS],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=side, text=True, check=True,
        env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(side)
    drawn = b""
    with contextlib.suppress(OSError):  # a terminal that nobody holds open any more
        while part := os.read(main_end, 65536):
            drawn += part
    os.close(main_end)
    assert b"recognising" in drawn
    assert [line.split("\t")[1] for line in result.stdout.splitlines()] == ["3", "7"]
    assert "recognising" not in run_module("inference.predict", *CLIPS).stderr
