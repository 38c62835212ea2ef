"""The cascade asks its large model where the small one is in doubt, and only there."""

import json

import numpy as np
import pytest

from inference.backends.base import Backend
from inference.backends.cascade import THRESHOLDS_FILE, CascadeBackend, Thresholds, read_thresholds
from inference.backends.table import BACKENDS, checkpoint_parts, load_backend
from inference.errors import CheckpointError
from inference.prediction import PASSED_ON, OperatingPoint, Prediction, prediction_from_probabilities
from inference.vocabulary import DIGITS

THRESHOLDS = Thresholds(accept=0.7, refuse=0.9)


class Scripted(Backend):
    """Answers each waveform with the label and the probabilities that its first samples name."""

    def __init__(self, column: int):
        self.column = column
        self.asked: list[int] = []

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Scripted":
        raise NotImplementedError

    def predict(self, waveforms):
        self.asked.append(len(waveforms))
        return [answer(*waveform[self.column : self.column + 3]) for waveform in waveforms]


def answer(label: float, probability: float, none: float) -> Prediction:
    rest = (1 - probability - none) / 9
    row = np.full(11, rest)
    row[int(label)], row[10] = probability, none
    return prediction_from_probabilities(row)


def clip(first: tuple[int, float, float], second: tuple[int, float, float]) -> np.ndarray:
    return np.array([*first, *second])


def make(thresholds: Thresholds = THRESHOLDS, **named) -> CascadeBackend:
    return CascadeBackend(Scripted(0), Scripted(3), thresholds, **named)


def test_a_sure_answer_and_a_sure_refusal_stand_alone() -> None:
    backend = make()
    sure, refused = backend.predict(
        [clip((4, 0.8, 0.1), (9, 0.9, 0.0)), clip((4, 0.01, 0.95), (9, 0.9, 0.0))]
    )
    assert (sure.label, sure.reason) == ("4", None)
    assert sure.score == pytest.approx(0.8, abs=1e-4)
    assert refused.none_probability == pytest.approx(0.95, abs=1e-4)
    assert refused.reason is None
    assert backend.second.asked == []


def test_only_doubtful_clips_are_passed_on_in_one_batch_and_keep_their_places() -> None:
    backend = make()
    sure, doubtful = clip((1, 0.9, 0.0), (2, 0.9, 0.0)), clip((3, 0.5, 0.2), (5, 0.9, 0.05))
    predictions = backend.predict([doubtful, sure, doubtful])
    assert [prediction.label for prediction in predictions] == ["5", "1", "5"]
    assert [prediction.reason for prediction in predictions] == [PASSED_ON, None, PASSED_ON]
    assert backend.second.asked == [2]


def test_the_joint_answer_is_the_mean_of_log_probabilities() -> None:
    (joint,) = make().predict([clip((3, 0.5, 0.2), (5, 0.6, 0.1))])
    first, second = answer(3, 0.5, 0.2), answer(5, 0.6, 0.1)
    rows = [np.log([*found.probabilities, found.none_probability]) for found in (first, second)]
    expected = np.exp((rows[0] + rows[1]) / 2)
    expected /= expected.sum()
    np.testing.assert_allclose([*joint.probabilities, joint.none_probability], expected, rtol=1e-6)


def test_the_temperature_of_the_operating_point_is_applied() -> None:
    hard, soft = (
        make(operating_point=OperatingPoint(temperature=temperature, threshold=0.5)).predict(
            [clip((4, 0.8, 0.1), (9, 0.9, 0.0))]
        )[0]
        for temperature in (1.0, 2.0)
    )
    assert soft.score < hard.score


def without_none(label: int, probability: float) -> Prediction:
    row = np.full(10, (1 - probability) / 9)
    row[label] = probability
    return prediction_from_probabilities(row)


def test_a_member_without_a_class_for_other_sounds_leaves_them_to_the_other() -> None:
    class Closed(Scripted):
        def predict(self, waveforms):
            return [without_none(int(waveform[0]), waveform[1]) for waveform in waveforms]

    backend = CascadeBackend(Closed(0), Scripted(3), THRESHOLDS)
    sure, word, other = backend.predict(
        [
            clip((1, 0.9, 0), (2, 0.9, 0.0)),
            clip((1, 0.6, 0), (1, 0.8, 0.1)),
            clip((1, 0.6, 0), (1, 0.05, 0.9)),
        ]
    )
    assert (sure.label, sure.none_probability, sure.reason) == ("1", None, None)
    assert word.label == "1"
    assert word.none_probability < 0.2
    assert other.none_probability > 0.8


def test_members_without_probabilities_are_refused() -> None:
    class Writer(Scripted):
        def predict(self, waveforms):
            return [Prediction("1", 0.9, hypothesis="one") for _ in waveforms]

    with pytest.raises(CheckpointError, match="a probability per label"):
        CascadeBackend(Writer(0), Scripted(3), THRESHOLDS).predict([clip((1, 0.9, 0.0), (1, 0.9, 0.0))])


def test_it_has_two_members() -> None:
    with pytest.raises(CheckpointError, match="expected two, such as speech-embedding"):
        load_backend("cascade", "mfcc+logmel-dscnn+speech-embedding")


@pytest.mark.parametrize("content", [{}, {"accept": 0.7}, {"accept": -1, "refuse": 0.9}, []])
def test_damaged_thresholds_are_refused(tmp_path, content) -> None:
    (tmp_path / THRESHOLDS_FILE).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"cascade\.json should hold|expected thresholds"):
        read_thresholds(tmp_path)


def test_the_shipped_pair() -> None:
    parts = checkpoint_parts(BACKENDS["cascade"], BACKENDS["cascade"].default_checkpoint)
    assert parts == [BACKENDS[name].default_checkpoint for name in ("speech-embedding", "whisper-encoder")]
    backend = load_backend("cascade")
    noise = np.random.default_rng(0).normal(0, 0.05, 9000).astype(np.float32)
    (prediction,) = backend.predict([noise])
    assert len(prediction.probabilities) == len(DIGITS.labels)
    assert backend.operating_point.threshold is not None
    names = {path.name for path in backend.checkpoint_files}
    assert {"model.onnx", THRESHOLDS_FILE, "calibration.json"} <= names
