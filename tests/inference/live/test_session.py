"""The loop: one answer per utterance, its latency in stages, and what is counted."""

import json
import logging

import numpy as np
import pytest

from inference.crop import CropContract
from inference.live.engine.endpointing import EndpointSettings
from inference.live.engine.events import (
    Gap,
    Hint,
    Level,
    Lost,
    Ready,
    Recovered,
    Summary,
    Withdrawn,
    Word,
    to_json,
)
from inference.live.engine.live_engine import LiveEngine
from inference.live.engine.timing import STAGES, SampleClock
from inference.live.output.keyboard import Command
from inference.live.recognition import BackendFailedError, UtteranceRecogniser
from inference.live.session import TOO_SLOW, Session
from inference.live.source.items import Loss
from inference.prediction import OperatingPoint, Prediction
from tests.inference.live.fakes import (
    AmplitudeDetector,
    BrokenBackend,
    ConstantBackend,
    MemorySource,
    block,
    opening,
    words,
)


class Memory(list):
    """An output that keeps what it is shown."""

    def show(self, event):
        if not isinstance(event, Level):
            self.append(event)

    def of(self, kind):
        return [event for event in self if isinstance(event, kind)]


def run(*items, backend=None, detector=None, **rules):
    """Runs a session over source items; returns what the screen and the other output were shown."""
    engine = LiveEngine(EndpointSettings(), detector or AmplitudeDetector(), CropContract())
    screen, output = Memory(), Memory()
    recogniser = UtteranceRecogniser(backend or ConstantBackend(), "constant", **rules)
    session = Session(engine, recogniser, screen, [output])
    session.run(MemorySource(*items))
    session.summarise()
    return screen, output


def blocks(waveform, size=160):
    return [block(waveform[first : first + size]) for first in range(0, waveform.size, size)]


def test_each_word_gets_exactly_one_answer_and_the_session_begins_and_ends_with_a_record():
    screen, _ = run(opening(), *blocks(words(0.3, 0.4, 0.4, 0.4, 0.4)))
    assert isinstance(screen[0], Ready)
    assert isinstance(screen[-1], Summary)
    assert [(word.id, word.answer.label, word.answer.prediction.score) for word in screen.of(Word)] == [
        (1, "7", 0.91),
        (2, "7", 0.91),
    ]
    assert screen[-1].digits == 2
    assert screen[-1].seconds == pytest.approx(1.9, abs=0.04)


def test_the_backend_is_given_the_crop():
    backend = ConstantBackend()
    run(opening(), *blocks(words(0.512, 0.512, 0.512)), backend=backend)
    (crop,) = backend.heard
    assert crop.size == (160 + 512 + 60) * 16


def test_the_stages_sum_to_the_total_and_hold_the_hangover():
    _, output = run(opening(), *blocks(words(0.3, 0.4, 0.4)))
    (word,) = output.of(Word)
    assert set(word.latency_ms) == {*STAGES, "total"}
    assert sum(word.latency_ms[stage] for stage in STAGES) == pytest.approx(word.latency_ms["total"])
    assert word.latency_ms["hangover"] == 128


def test_stages_are_told_apart_by_the_moments_of_the_block():
    class Late(MemorySource):
        def stream(self):
            yield opening()
            from inference.live.source.items import Block

            waveform = words(0.512, 0.512, 0.128)
            yield Block(waveform, captured_at=100.0, delivered_at=100.25)

    engine = LiveEngine(EndpointSettings(), AmplitudeDetector(), CropContract())
    output = Memory()
    session = Session(engine, UtteranceRecogniser(ConstantBackend(), "constant"), Memory(), [output])
    session.run(Late())
    latency_ms = output.of(Word)[0].latency_ms
    assert latency_ms["capture"] == pytest.approx(250)
    assert latency_ms["detector_lag"] == 0
    assert latency_ms["wait"] >= 0


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


def test_late_answers_are_marked_and_a_backend_that_stays_late_is_named(monkeypatch):
    monkeypatch.setattr("inference.live.session.LATE_MS", -1.0)
    screen, output = run(opening(), *blocks(words(*[0.3, 0.4] * 4, 0.4)))
    assert all(word.late for word in output.of(Word))
    assert [hint.text for hint in screen.of(Hint)] == [TOO_SLOW]


def test_answers_are_taken_back_in_order_and_quitting_ends_the_session():
    script = iter([[]] * 400 + [[Command.UNDO], [Command.UNDO], [Command.UNDO], [Command.QUIT]])
    items = [opening(), *blocks(words(*[0.3, 0.4] * 2, 2.0))] * 2
    engine = LiveEngine(EndpointSettings(), AmplitudeDetector(), CropContract())
    output = Memory()
    session = Session(
        engine,
        UtteranceRecogniser(ConstantBackend(), "constant"),
        Memory(),
        [output],
        lambda: next(script),
    )
    session.run(MemorySource(*items))
    assert [event.id for event in output.of(Withdrawn)] == [2, 1]


def test_the_best_digits_come_first():
    (word,) = run(opening(), *blocks(words(0.3, 0.4, 0.4)))[0].of(Word)
    top = json.loads(to_json(word))["top"]
    assert top[0] == [7, 0.91]
    assert len(top) == 3


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


def test_missing_samples_and_overflows_are_counted_and_shown():
    word = words(0.3, 0.4, 0.4)
    screen, _ = run(opening(), block(word), block(word, missing=1600), block(word[:160], overflowed=True))
    assert screen.of(Gap)[0].num_samples == 1600
    assert (screen[-1].lost_samples, screen[-1].overflows) == (1600, 1)


def test_a_loss_makes_the_open_word_stale_and_the_next_word_is_heard_at_another_rate():
    word = words(0.3, 0.4)
    again = words(0.3, 0.4, 0.4, sampling_rate=48_000)
    screen, _ = run(opening(), *blocks(word), Loss("unplugged"), opening(48_000), *blocks(again, 480))
    kinds = [event for event in screen if isinstance(event, (Word, Lost, Recovered))]
    assert [type(event) for event in kinds] == [Word, Lost, Recovered, Word]
    assert kinds[0].answer.reason == "stale"
    assert kinds[1].reason == "unplugged"
    assert kinds[2].sampling_rate == 48_000
    assert kinds[3].answer.label == "7"
    assert len(screen.of(Ready)) == 1


def test_the_sample_clock_believes_the_earliest_callback():
    clock = SampleClock(16_000)
    rng = np.random.default_rng(0)
    for index in range(500):
        late = rng.uniform(0.0, 0.03) if index != 100 else 0.0
        clock.observe(160 * index, called_at=10.0 + 0.01 * (index + 1) + late, lag=0.01)
    assert clock.time_of(160 * 500) == pytest.approx(10.0 + 5.0, abs=0.001)


def test_the_sample_clock_forgets_a_shift_after_its_window():
    clock = SampleClock(16_000)
    for index in range(1000):
        shift = 0.0 if index < 200 else 0.3
        clock.observe(160 * index, called_at=0.01 * (index + 1) + shift, lag=0.01)
    assert clock.time_of(160 * 1000) == pytest.approx(10.0 + 0.3, abs=0.001)
