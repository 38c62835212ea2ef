import numpy as np
import pytest

from inference.backends.base import Backend
from inference.backends.ensemble import EnsembleBackend
from inference.backends.table import load_backend
from inference.crop import CropContract
from inference.errors import CheckpointError
from inference.prediction import Prediction, prediction_from_probabilities
from inference.vocabulary import DIGITS

SILENCE = [np.zeros(8000, np.float32)]


class Constant(Backend):
    """Answers with the same probabilities always."""

    def __init__(self, best: int | None, probability: float = 0.9, pre_ms: int = 100):
        rest = (1 - probability) / (len(DIGITS.labels) - 1)
        self.probabilities = np.full(len(DIGITS.labels), rest)
        if best is not None:
            self.probabilities[best] = probability
        self.has_probabilities = best is not None
        self.crop_contract = CropContract(pre_ms=pre_ms)

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "Constant":
        raise NotImplementedError

    def predict(self, waveforms):
        if not self.has_probabilities:
            return [Prediction("3", hypothesis="three") for _ in waveforms]
        return [prediction_from_probabilities(self.probabilities) for _ in waveforms]


def test_the_surer_member_wins_and_probabilities_sum_to_one() -> None:
    (answer,) = EnsembleBackend([Constant(2, 0.5), Constant(7, 0.99)]).predict(SILENCE)
    assert answer.label == "7"
    assert sum(answer.probabilities or ()) == pytest.approx(1.0)


def test_members_that_agree_keep_their_probability() -> None:
    (answer,) = EnsembleBackend([Constant(4, 0.6), Constant(4, 0.6)]).predict(SILENCE)
    assert answer.label == "4"
    assert (answer.score or 0.0) == pytest.approx(0.6)


def test_the_widest_crop_serves_all_members() -> None:
    members = [Constant(1, pre_ms=50), Constant(1, pre_ms=200)]
    assert EnsembleBackend(members).crop_contract.pre_ms == 200


def test_members_without_probabilities_are_refused() -> None:
    with pytest.raises(CheckpointError, match="a probability per label"):
        EnsembleBackend([Constant(1), Constant(None)]).predict(SILENCE)


def test_a_lone_member_is_refused() -> None:
    with pytest.raises(CheckpointError, match="two or more"):
        load_backend("ensemble", "mfcc")


def test_shipped_members_together() -> None:
    backend = load_backend("ensemble")
    members = [load_backend("speech-embedding"), load_backend("whisper-encoder")]
    assert backend.num_parameters == sum(member.num_parameters or 0 for member in members)
    noise = np.random.default_rng(0).normal(0, 0.05, 9000).astype(np.float32)
    (answer,) = backend.predict([noise])
    rows = np.array([member.predict([noise])[0].probabilities for member in members])
    assert answer.label == DIGITS.labels[int(np.log(rows).mean(axis=0).argmax())]
