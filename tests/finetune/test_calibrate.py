"""Operating points of backends that are not trained here, and the thresholds of a cascade."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from finetune import calibrate
from finetune.checkpoint.split_card import read_split_card
from inference.audio import SAMPLING_RATE
from inference.backends.table import SHIPPED_CHECKPOINTS, load_backend, read_members
from inference.checkpoint import read_operating_point
from inference.errors import CheckpointError
from inference.files import read_json
from inference.prediction import MOST_PROBABLE, Prediction


def answers(*pairs: tuple[float, float | None]) -> list[Prediction]:
    return [Prediction("1", score, none_probability=none) for score, none in pairs]


def test_thresholds_are_the_widest_that_mistakes_allow() -> None:
    words = answers(*[(0.9, number / 1000) for number in range(1000)])
    others = answers(*[(number / 1000, 0.5) for number in range(1000)])
    thresholds = calibrate.choose_thresholds(words, ["1"] * len(words), others)
    accepted = np.mean([not thresholds.leave_open(found) and found.score > 0.5 for found in others])
    refused = np.mean([found.none_probability >= thresholds.refuse for found in words])
    assert accepted == pytest.approx(calibrate.MAX_ACCEPTED_OTHERS, abs=0.002)
    assert refused == pytest.approx(calibrate.MAX_REFUSED_WORDS, abs=0.002)


def test_what_the_small_model_takes_for_another_word_is_passed_on() -> None:
    words = answers(*[(0.5 + number / 2500, number / 10_000) for number in range(1000)])
    labels = ["2" if number in (100, 200, 300, 400) else "1" for number in range(1000)]
    thresholds = calibrate.choose_thresholds(words, labels, answers((0.1, 0.5)))
    wrong = [found for found, label in zip(words, labels, strict=True) if label == "2"]
    assert [thresholds.leave_open(found) for found in wrong] == [True, True, False, False]


def test_a_small_model_without_a_class_for_other_sounds_is_refused() -> None:
    with pytest.raises(CheckpointError, match="fit it with --reject"):
        calibrate.choose_thresholds(answers((0.9, None)), ["1"], answers((0.9, None)))


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    for folder, name in (("words", "{}_nobody_0.wav"), ("others", "door_nobody_{}.wav")):
        (tmp_path / folder).mkdir()
        for number in range(5):
            noise = np.random.default_rng(number).normal(0, 0.05, SAMPLING_RATE // 2)
            soundfile.write(tmp_path / folder / name.format(number), noise, SAMPLING_RATE)
    return ["--dataset", str(tmp_path / "words"), "--others", str(tmp_path / "others")]


def test_command_writes_an_operating_point(folders: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert calibrate.main(["--backend", "logmel-dscnn", *folders, "--out", str(out)]) == 0
    operating_point = read_operating_point(out)
    assert operating_point is not None
    # Each as recorded and in noise.
    assert operating_point.num_digits == 10
    assert operating_point.num_others == 10
    card = read_split_card(out)
    assert (card.train_speakers, card.validation_speakers) == ((), ("nobody",))
    # Both folders hold the same five sounds.
    assert (len(card.train_clips), len(card.train_hashes)) == (10, 5)


def test_what_was_heard_before_stays_in_the_card(folders: list[str], tmp_path: Path) -> None:
    checkpoint = tmp_path / "mine"
    shutil.copytree(SHIPPED_CHECKPOINTS / "logmel-dscnn", checkpoint)
    before = read_split_card(checkpoint)
    command = ["--backend", "logmel-dscnn", "--checkpoint", str(checkpoint), *folders]
    assert calibrate.main([*command, "--out", str(checkpoint)]) == 0
    after = read_split_card(checkpoint)
    assert after.train_speakers == before.train_speakers
    assert {*after.validation_speakers} == {*before.validation_speakers, "nobody"}
    assert len(after.train_clips - before.train_clips) == 10
    assert len(after.train_hashes - before.train_hashes) == 5


@pytest.mark.parametrize("name", ["ensemble", "cascade"])
def test_a_calibrated_composite_is_a_checkpoint(name: str, folders: list[str], tmp_path: Path) -> None:
    members, out = "logmel-dscnn+speech-embedding", str(tmp_path / "pair")
    assert calibrate.main(["--backend", name, "--checkpoint", members, *folders, "--out", out]) == 0
    assert load_backend(name, members).operating_point == MOST_PROBABLE
    backend = load_backend(name, out)
    assert backend.operating_point == read_operating_point(Path(out))
    assert [member for member, _ in read_members(out)] == members.split("+")
    assert {type(one).__name__ for one in backend.predict([np.zeros(8000, np.float32)])} == {"Prediction"}


def test_a_checkpoint_that_is_calibrated_anew_says_so(folders: list[str], tmp_path: Path) -> None:
    checkpoint = tmp_path / "mine"
    shutil.copytree(SHIPPED_CHECKPOINTS / "logmel-dscnn", checkpoint)
    before = (checkpoint / "README.md").read_text()
    command = ["--backend", "logmel-dscnn", "--checkpoint", str(checkpoint), *folders]
    assert calibrate.main([*command, "--out", str(checkpoint)]) == 0
    threshold = read_operating_point(checkpoint).threshold
    after = (checkpoint / "README.md").read_text()
    assert f"Answers below a confidence of {threshold:.3f}" in after
    assert "of 10 digits" in after
    assert f"| reject threshold | {threshold:.4g} |" in after
    assert "test non words shown" not in after
    figures = read_json(checkpoint / "figures.json")
    assert figures["reject_threshold"] == threshold
    # Nothing else has changed.
    told = (
        "Answers below",
        "| reject threshold",
        "| validation false",
        "| test words refused",
        "| test non words",
    )
    kept = [[line for line in text.splitlines() if not line.startswith(told)] for text in (before, after)]
    assert kept[0] == kept[1]


def test_others_without_audio_are_refused(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    command = ["--backend", "logmel-dscnn", *folders[:2], "--others", str(tmp_path / "empty")]
    assert calibrate.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "holds no audio files" in capsys.readouterr().err
