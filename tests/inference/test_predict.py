"""The file command: one line per file whatever the file is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference import predict
from inference.labels import LABELS
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
        assert by_name[name]["label"] in LABELS
        assert 0 < by_name[name]["score"] <= 1
    assert "empty file" in by_name["empty.wav"]["error"]
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


def test_pipe_is_read(spoken_corpus: Path) -> None:
    clip = next(spoken_corpus.glob("*_0.wav"))
    command = f"cat '{clip}' | '{sys.executable}' -m inference.predict /dev/stdin"
    result = subprocess.run(["bash", "-c", command], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\t")[1] in LABELS


def test_unlisted_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path, **options):
        options["onerror"](PermissionError(13, "Permission denied", str(path)))
        return iter(())

    monkeypatch.setattr(predict.os, "walk", refuse)
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
