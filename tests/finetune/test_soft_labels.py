"""Labels that a teacher softens: what is learned, from whom, and no test clip slips through the teacher."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from finetune import fit_baseline
from finetune.augmentation import AugmentationSettings
from finetune.checkpoint.split_card import read_split_card
from finetune.corpus.loading import load_corpus
from finetune.soft_labels import SoftLabeller
from finetune.training.clip_dataset import ClipDataset
from finetune.training.clip_trainer import classification_loss
from inference.backends.base import Backend
from inference.crop import CropContract, prepare
from inference.prediction import Prediction
from inference.vocabulary import DIGITS, REJECT_LABEL

WITH_NONE = (*DIGITS.labels, REJECT_LABEL)
WORDS = (0.82, *[0.02] * 9)


class Teacher(Backend):
    """Says the same of everything, and keeps what it was given."""

    def __init__(self, probabilities: tuple[float, ...] | None, none_probability: float | None = None):
        self.heard: list[np.ndarray] = []
        self._answer = Prediction("0", 0.8, probabilities, none_probability)

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Teacher":
        raise NotImplementedError

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        self.heard += waveforms
        return [self._answer] * len(waveforms)


def soften(teacher: Teacher, classes: tuple[str, ...], label: str) -> list[float]:
    (row,) = SoftLabeller(teacher, classes).label([np.zeros(1600, np.float32)], [classes.index(label)])
    return row.tolist()


@pytest.mark.parametrize(
    ("teacher", "classes", "label", "expected"),
    [
        (Teacher(WORDS), DIGITS.labels, "1", [0.41, 0.51, *[0.01] * 8]),
        (Teacher(WORDS), WITH_NONE, "1", [0.41, 0.51, *[0.01] * 8, 0.0]),
        # A teacher of words alone has nothing to say of a sound that is none.
        (Teacher(WORDS), WITH_NONE, REJECT_LABEL, [*[0.0] * 10, 1.0]),
        (Teacher(tuple(p / 2 for p in WORDS), 0.5), WITH_NONE, REJECT_LABEL, [0.205, *[0.005] * 9, 0.75]),
        # A student without the class is taught the words' shares.
        (Teacher(tuple(p / 2 for p in WORDS), 0.5), DIGITS.labels, "1", [0.41, 0.51, *[0.01] * 8]),
        (Teacher((0.0,) * 10, 1.0), DIGITS.labels, "1", [0.0, 1.0, *[0.0] * 8]),
        (Teacher(None), DIGITS.labels, "1", [0.0, 1.0, *[0.0] * 8]),
    ],
)
def test_half_what_was_said_half_what_was_heard(teacher, classes, label, expected) -> None:
    assert soften(teacher, classes, label) == pytest.approx(expected, abs=1e-6)


def test_the_teacher_hears_each_variation(spoken_corpus: Path) -> None:
    clips = load_corpus(str(spoken_corpus)).clips[:3]
    waveforms = {clip.clip_id: clip.waveform() for clip in clips}
    teacher, contract = Teacher(WORDS), CropContract()
    varied = ClipDataset(
        clips, waveforms, contract, AugmentationSettings(), soft_labeller=SoftLabeller(teacher, DIGITS.labels)
    )
    for epoch in range(2):
        varied.set_epoch(epoch)
        example = varied[1]
        np.testing.assert_array_equal(prepare(teacher.heard[-1], contract), example["input_values"])
        assert example["labels"].shape == (10,)
    first, second = teacher.heard
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_certain_soft_labels_cost_what_labels_cost() -> None:
    logits = torch.randn(6, 11, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([0, 3, 10, 10, 5, 1])
    certain = torch.nn.functional.one_hot(ids, 11).float()
    for count in (None, torch.tensor(24)):
        torch.testing.assert_close(
            classification_loss({"logits": logits}, certain, count, 0.1),
            classification_loss({"logits": logits}, ids, count, 0.1),
        )


def test_a_student_has_heard_what_its_teacher_heard(
    fitted_mfcc: Path, spoken_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Two of the teacher's four voices: its other clips stand in the student's card, too."""
    voices = sorted({path.stem.split("_")[1] for path in spoken_corpus.glob("*.wav")})
    two = tmp_path / "two"
    two.mkdir()
    for path in (path for voice in voices[:2] for path in spoken_corpus.glob(f"*_{voice}_*.wav")):
        shutil.copy(path, two)
    words = ["--model", "mfcc-cnn", "--steps", "3", "--synthetic-share", "0", "--dataset", str(two)]
    taught = ["--soft-labels-from", f"mfcc={fitted_mfcc}", "--out", str(tmp_path / "taught")]
    assert fit_baseline.main([*words, *taught]) == 0
    student, teacher = read_split_card(tmp_path / "taught"), read_split_card(fitted_mfcc)
    assert student is not None
    assert teacher is not None
    assert student.train_hashes >= teacher.train_hashes
    assert student.train_speakers == tuple(voices)
    assert f"- soft labels: mfcc {fitted_mfcc.name}" in (tmp_path / "taught" / "README.md").read_text()

    words = ["--model", "mfcc-cnn", "--protocol", "loso", "--dataset", str(spoken_corpus), "--fold"]
    speaker = teacher.train_speakers[0]
    assert fit_baseline.main([*words, speaker, *taught[:2], "--out", str(tmp_path / "held-out")]) == 2
    assert "or their speakers" in capsys.readouterr().err


def test_statistics_learn_from_labels_alone(capsys: pytest.CaptureFixture) -> None:
    assert fit_baseline.main(["--model", "mfcc-svm", "--soft-labels-from", "whisper"]) == 2
    assert "--soft-labels-from is for networks" in capsys.readouterr().err
    assert fit_baseline.main(["--model", "mfcc-cnn", "--soft-labels-from", "wisper"]) == 2
    assert "unknown backend 'wisper'" in capsys.readouterr().err
