"""The file command: one line per file whatever the file is."""

import json
import subprocess
from pathlib import Path

import pytest

from inference import predict
from inference.errors import UserError
from inference.labels import LABELS


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


def test_empty_folder_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no audio files"):
        list(predict.find_audio([tmp_path]))


def test_missing_checkpoint_names_the_command_that_makes_one(
    spoken_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    clip = next(spoken_corpus.glob("*.wav"))
    assert predict.main([str(clip), "--checkpoint", str(tmp_path / "none")]) == 2
    assert "finetune.fit_baseline" in capsys.readouterr().err
