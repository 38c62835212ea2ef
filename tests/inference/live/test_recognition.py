"""What the backend's predictions become, and what becomes of a backend that fails."""

import logging

import pytest

from inference.live.engine.events import Word
from inference.live.recognition import BackendFailedError
from inference.prediction import OperatingPoint, Prediction
from tests.inference.live.fakes import (
    AmplitudeDetector,
    BrokenBackend,
    ConstantBackend,
    blocks,
    opening,
    run,
    words,
)


def test_a_low_score_is_rejected_unless_forced():
    items = [opening(), *blocks(words(0.3, 0.4, 0.4))]
    (rejected,) = run(*items, min_score=0.95)[0].of(Word)
    assert (rejected.answer.label, rejected.answer.reason, rejected.answer.prediction.score) == (
        None,
        "low_score",
        0.91,
    )
    assert rejected.type == "reject"
    (forced,) = run(*items, min_score=0.95, force_emit=True)[0].of(Word)
    assert (forced.answer.label, forced.answer.reason, forced.answer.forced) == ("7", None, True)
    assert forced.type == "digit"


def test_the_calibrated_operating_point_rejects_unless_a_threshold_is_given():
    items = [opening(), *blocks(words(0.3, 0.4, 0.4))]
    backend = ConstantBackend()
    backend.operating_point = OperatingPoint(1.0, 0.95, 0.02, 0.05, 100, 100)
    assert run(*items, backend=backend)[0].of(Word)[0].answer.reason == "low_score"
    assert run(*items, backend=backend, min_score=0.9)[0].of(Word)[0].answer.label == "7"


def test_the_less_the_detector_believes_the_surer_a_backend_without_threshold_must_be():
    class Strict(AmplitudeDetector):
        least_joint_score = 0.5

    def answer(amplitude, backend, **options):
        return run(opening(), *blocks(words(0.3, 0.4, 0.4, amplitude=amplitude)), backend=backend,
                   detector=Strict(), **options)[0].of(Word)[0].answer  # fmt: skip

    assert answer(0.7, ConstantBackend()).label == "7"
    assert answer(0.5, ConstantBackend()).reason == "low_score"  # 0.5 * 0.91
    assert answer(0.5, ConstantBackend(), min_score=0.0).label == "7"
    calibrated = ConstantBackend()
    calibrated.operating_point = OperatingPoint(1.0, 0.5, 0.02, 0.05, 100, 100)
    assert answer(0.5, calibrated).label == "7"


def test_a_sound_that_the_backend_takes_for_no_word_is_rejected_unless_forced():
    class Doubting(ConstantBackend):
        def predict(self, waveforms):
            return [Prediction("7", 0.4, none_probability=0.6) for _ in waveforms]

    items = [opening(), *blocks(words(0.3, 0.4, 0.4))]
    assert run(*items, backend=Doubting())[0].of(Word)[0].answer.reason == "unknown_class"
    (forced,) = run(*items, backend=Doubting(), force_emit=True)[0].of(Word)
    assert (forced.answer.label, forced.answer.forced) == ("7", True)


def test_a_backend_that_fails_once_costs_one_word(caplog):
    class Stumbling(ConstantBackend):
        def predict(self, waveforms):
            if not self.heard:
                self.heard += waveforms
                raise RuntimeError("stumbled")
            return super().predict(waveforms)

    with caplog.at_level(logging.WARNING):
        screen, _ = run(opening(), *blocks(words(0.3, 0.4, 0.4, 0.4, 0.4)), backend=Stumbling())
    assert [word.answer.reason for word in screen.of(Word)] == ["backend_error", None]
    assert screen[-1].rejects == {"backend_error": 1}
    assert "stumbled" in caplog.text


def test_a_broken_backend_ends_the_session():
    with pytest.raises(BackendFailedError, match="weights on fire"):
        run(opening(), *blocks(words(*[0.3, 0.4] * 4, 0.4)), backend=BrokenBackend())
