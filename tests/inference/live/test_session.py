"""The loop: one answer per utterance, its latency in stages, and what is counted."""

import json

import pytest

from inference.crop import CropContract
from inference.live.engine.endpointing import EndpointSettings
from inference.live.engine.events import Gap, Hint, Lost, Ready, Recovered, Summary, Withdrawn, Word, to_json
from inference.live.engine.live_engine import LiveEngine
from inference.live.engine.timing import STAGES
from inference.live.output.keyboard import Command
from inference.live.recognition import UtteranceRecogniser
from inference.live.session import TOO_SLOW, Session
from inference.live.source.items import Loss
from tests.inference.live.fakes import (
    AmplitudeDetector,
    ConstantBackend,
    Memory,
    MemorySource,
    block,
    blocks,
    opening,
    run,
    words,
)


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
        engine, UtteranceRecogniser(ConstantBackend(), "constant"), Memory(), [output], lambda: next(script)
    )
    session.run(MemorySource(*items))
    assert [event.id for event in output.of(Withdrawn)] == [2, 1]


def test_the_best_digits_come_first():
    (word,) = run(opening(), *blocks(words(0.3, 0.4, 0.4)))[0].of(Word)
    top = json.loads(to_json(word))["top"]
    assert top[0] == [7, 0.91]
    assert len(top) == 3


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
