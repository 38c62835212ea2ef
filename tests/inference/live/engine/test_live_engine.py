"""The pure core: intervals, crops, and the same events for any way of cutting the same audio."""

import difflib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.audio import decode_audio
from inference.backends.table import load_backend
from inference.crop import CropContract
from inference.live.engine.endpointing import PROFILES, EndpointSettings
from inference.live.engine.events import Gap, Level, StateChange, Utterance
from inference.live.engine.live_engine import LiveEngine
from inference.live.engine.voice_activity import EnergyDetector, SileroDetector
from inference.live.source.capture import HAND_OVER_MS
from inference.live.source.items import REST_SECONDS
from tests.inference.live.fakes import AmplitudeDetector, words


def make_engine(detector=None, sampling_rate=16_000, **contract) -> LiveEngine:
    return LiveEngine(
        EndpointSettings(), detector or AmplitudeDetector(), CropContract(**contract), sampling_rate
    )


def utterances(events) -> list[Utterance]:
    return [event for event in events if isinstance(event, Utterance)]


def run(engine: LiveEngine, waveform: np.ndarray, sizes) -> list:
    """Feeds a waveform in blocks of the given sizes, repeated until it is used up."""
    events, first, index = [], 0, 0
    while first < waveform.size:
        events += engine.push(waveform[first : first + sizes[index % len(sizes)]])
        first += sizes[index % len(sizes)]
        index += 1
    return events + engine.flush()


def speechlike(seconds: float, sampling_rate: int, seed: int = 0) -> np.ndarray:
    """Harmonic bursts in weak noise: enough like speech for both detectors to have something to do."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * sampling_rate)) / sampling_rate
    pitch = 120 + 20 * np.sin(2 * np.pi * 3 * times)
    phase = 2 * np.pi * np.cumsum(pitch) / sampling_rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    gate = np.clip(3 * np.sin(2 * np.pi * times / 0.9), 0, 1)
    return (0.1 * gate * voice + 0.003 * rng.standard_normal(times.size)).astype(np.float32)


def same(first: list, second: list) -> bool:
    """Equal events, crops included: ``Utterance`` leaves its waveform out of the comparison."""
    return first == second and all(
        np.array_equal(a.waveform, b.waveform)
        for a, b in zip(utterances(first), utterances(second), strict=True)
    )


def test_a_word_gives_speech_utterance_listening_in_this_order():
    events = run(make_engine(), words(0.512, 0.512, 0.512), [160])
    kinds = [type(event) for event in events if not isinstance(event, Level)]
    assert kinds == [StateChange, Utterance, StateChange]
    (utterance,) = utterances(events)
    assert (utterance.id, utterance.start, utterance.end) == (1, 8192, 16384)
    assert utterance.decided - utterance.end == 2048  # 128 ms


def test_the_crop_follows_the_contract_and_holds_no_hangover():
    waveform = words(0.512, 0.512, 0.512)
    (utterance,) = utterances(run(make_engine(pre_ms=100, post_ms=50), waveform, [160]))
    assert np.array_equal(utterance.waveform, waveform[8192 - 1600 : 16384 + 800])


def test_a_crop_never_reaches_into_the_previous_word():
    waveform = words(0.512, 0.512, 0.16, 0.512, 0.512)
    first, second = utterances(run(make_engine(pre_ms=400), waveform, [160]))
    assert second.waveform.size == second.end - first.end + 60 * 16
    assert second.start >= first.end


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=8))
def test_any_blocks_give_the_same_events(sizes):
    waveform = words(0.3, 0.4, 0.3, 0.05, 0.4, 1.6, 0.3, 0.3)
    assert same(run(make_engine(), waveform, sizes), run(make_engine(), waveform, [waveform.size]))


@pytest.mark.parametrize("detector", [EnergyDetector, SileroDetector])
@pytest.mark.parametrize("sampling_rate", [8_000, 16_000, 44_100])
def test_the_usual_block_sizes_give_the_same_events(detector, sampling_rate):
    waveform = speechlike(4.0, sampling_rate)
    expected = run(make_engine(detector(), sampling_rate), waveform, [waveform.size])
    assert len(utterances(expected)) >= 2
    for size in (160, 512, 1024, 4096):
        assert same(run(make_engine(detector(), sampling_rate), waveform, [size]), expected)


@settings(max_examples=25, deadline=None)
@given(seconds=st.lists(st.floats(0.03, 0.8), min_size=2, max_size=8), profile=st.sampled_from([*PROFILES]))
def test_an_idle_engine_decides_nothing_while_its_source_rests(seconds, profile):
    waveform = words(0.3, *seconds, 0.3)
    for detector in (AmplitudeDetector(), EnergyDetector()):
        engine = LiveEngine(PROFILES[profile], detector, CropContract())
        idle_at = 0
        for first in range(0, waveform.size, 160):
            for utterance in utterances(engine.push(waveform[first : first + 160])):
                # What rests wakes up with the next block handed over.
                assert utterance.decided - idle_at > (REST_SECONDS + HAND_OVER_MS / 1000) * 16_000
            if engine.is_idle:
                idle_at = engine.position


def test_single_samples_give_the_same_events():
    waveform = speechlike(1.5, 44_100)
    expected = run(make_engine(EnergyDetector(), 44_100), waveform, [waveform.size])
    assert utterances(expected)
    assert same(run(make_engine(EnergyDetector(), 44_100), waveform, [1]), expected)


def test_ten_minutes_at_44100_hz_keep_their_length_and_a_tone_stays_clean():
    engine = make_engine(sampling_rate=44_100)
    times = np.arange(441)
    for index in range(60_000):
        engine.push((0.25 * np.sin(2 * np.pi * (times + 441 * index) / 44.1)).astype(np.float32))
    tone = engine._history.since(engine.position - 16_000).astype(np.float64)
    basis = np.exp(2j * np.pi * np.arange(tone.size) / 16)
    fitted = 2 * (np.vdot(basis, tone) / tone.size * basis).real
    assert 10 * np.log10(np.mean(fitted**2) / np.mean((tone - fitted) ** 2)) > 60
    engine.flush()
    assert abs(engine.position - 600 * 16_000) <= 512  # padded to a whole frame


def test_quiet_speech_is_rejected_as_too_quiet():
    class Eager(AmplitudeDetector):
        def score(self, frame):
            return 1.0 if np.abs(frame).max() > 1e-5 else 0.0

    (utterance,) = utterances(run(make_engine(Eager()), words(0.5, 0.5, 0.5, amplitude=1e-4), [160]))
    assert utterance.reason == "too_quiet"


@pytest.mark.parametrize(("amplitude", "reason"), [(0.5, "nonspeech"), (0.7, None)])
def test_what_the_detector_hardly_takes_for_speech_is_a_reason(amplitude, reason):
    class Doubting(AmplitudeDetector):
        least_mean_score = 0.55

    (utterance,) = utterances(run(make_engine(Doubting()), words(0.5, 0.5, 0.5, amplitude=amplitude), [160]))
    assert utterance.reason == reason


@pytest.mark.parametrize(("amplitude", "reason"), [(0.99, None), (1.0, "clipped")])
def test_an_overdriven_microphone_is_a_reason(amplitude, reason):
    (utterance,) = utterances(run(make_engine(), words(0.5, 0.5, 0.5, amplitude=amplitude), [160]))
    assert utterance.reason == reason


def test_the_end_of_the_stream_closes_an_open_word():
    (utterance,) = utterances(run(make_engine(), words(0.512, 0.512), [160]))
    assert (utterance.reason, utterance.end) == (None, 16384)


def test_lost_samples_make_an_open_word_stale_and_positions_move_on():
    engine = make_engine(sampling_rate=8_000)
    engine.push(words(0.5, 0.4, sampling_rate=8_000))
    events = engine.skip(800)
    assert [event.reason for event in utterances(events)] == ["stale"]
    assert events[-1] == Gap(position=14_400 + 1600, num_samples=1600)  # 0.9 s, then 0.1 s
    (utterance,) = utterances(run(engine, words(0.5, 0.4, 0.4, sampling_rate=8_000), [80]))
    assert (utterance.id, utterance.reason) == (2, None)
    assert abs(utterance.start - (16_000 + 8000)) <= 512


def test_ids_rise_and_intervals_never_overlap():
    found = utterances(run(make_engine(), words(*([0.3, 0.3] * 20), 0.3), [777]))
    assert [utterance.id for utterance in found] == list(range(1, 21))
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))


def test_memory_stays_bounded():
    engine = make_engine()
    kept = engine._history._buffer.size
    run(engine, words(*([0.3, 0.3] * 100), 0.3), [4096])
    assert engine._history._buffer.size == kept
    assert engine._pending.size < engine._frame_samples


def states(events) -> list[str]:
    return [event.state for event in events if isinstance(event, StateChange)]


def test_a_paused_engine_is_deaf_and_says_so_once():
    engine = LiveEngine(EndpointSettings(), AmplitudeDetector(), CropContract(), paused=True)
    events = run(engine, words(0.3, 0.4, 0.3, 0.4, 0.3), [160])
    assert states(events) == ["paused"]
    assert utterances(events) == []


def test_a_word_begun_a_moment_before_the_key_is_heard_whole():
    engine = LiveEngine(EndpointSettings(), AmplitudeDetector(), CropContract(), paused=True)
    events = run_on(engine, words(0.512, 0.096))
    engine.resume()
    events += run_on(engine, words(0.0, 0.416, 0.3))
    (utterance,) = utterances(events)
    assert (utterance.start, utterance.end) == (8192, 8192 + 8192)
    assert states(events) == ["paused", "listening", "speech", "listening"]


def test_a_word_that_outlasts_the_key_is_heard_for_another_moment():
    engine = make_engine()
    events = run_on(engine, words(0.512, 0.512))
    engine.pause()
    assert engine.is_listening
    events += run_on(engine, words(0.0, 0.16, 0.5))
    (utterance,) = utterances(events)
    assert utterance.end - utterance.start >= 0.6 * 16_000
    assert states(events)[-1] == "paused"
    assert not engine.is_listening
    assert utterances(run_on(engine, words(0.2, 0.4, 0.4))) == []


def test_a_key_pressed_again_at_once_interrupts_nothing():
    engine = make_engine()
    events = run_on(engine, words(0.512, 0.256))
    engine.pause()
    events += run_on(engine, words(0.0, 0.064))
    engine.resume()
    events += run_on(engine, words(0.0, 0.192, 0.3))
    assert states(events) == ["speech", "listening"]
    assert len(utterances(events)) == 1


def run_on(engine: LiveEngine, waveform: np.ndarray) -> list:
    """Feeds more of an endless waveform."""
    return [
        event
        for first in range(0, waveform.size, 160)
        for event in engine.push(waveform[first : first + 160])
    ]


def test_a_word_that_begins_with_the_stream_has_silence_before_it():
    word = np.full(8000, 0.5, np.float32)
    for waveform, start in ((word, 0), (np.concatenate([np.zeros(1000, np.float32), word]), 1000)):
        (utterance,) = utterances(run(make_engine(pre_ms=100), waveform, [160]))
        assert (utterance.start, utterance.lead) == (start, 1600)
        assert not utterance.waveform[:1600].any()
        assert utterance.waveform[1600] == word[0]


def test_frames_begin_where_the_sound_does_after_digital_silence():
    gap, word = np.zeros(8100, np.float32), np.full(8000, 0.5, np.float32)
    waveform = np.concatenate([gap, word, gap, word, gap])
    for sizes in ([160], [4000], [waveform.size], [1, 511, 77]):
        found = utterances(run(make_engine(), waveform, sizes))
        assert [utterance.start for utterance in found] == [8100, 24_200]


def test_tightly_cut_clips_are_answered_as_whole_files_are(recordings):
    """At the beginning of a file, and strung together with digital silence."""
    paths = [path for path in sorted(recordings.glob("*.wav")) if int(path.stem.split("_")[2]) >= 5][::50]
    backend = load_backend("wav2vec2")
    clips = [decode_audio(path) for path in paths]
    labels = [prediction.label for prediction in backend.predict(clips)]
    contract = backend.crop_contract

    def answers(waveform: np.ndarray) -> list[str | None]:
        engine = LiveEngine(PROFILES["isolated"], SileroDetector(), contract)
        found = [utterance for utterance in utterances(run(engine, waveform, [1600])) if not utterance.reason]
        return [prediction.label for prediction in backend.predict([u.waveform for u in found])]

    alone = [answers(clip) for clip in clips]
    assert sum(answer == [label] for answer, label in zip(alone, labels, strict=True)) >= 0.95 * len(clips)
    gap = np.zeros(9600, np.float32)
    together = answers(np.concatenate([part for clip in clips for part in (clip, gap)]))
    same = difflib.SequenceMatcher(None, labels, together, autojunk=False).get_matching_blocks()
    assert sum(block.size for block in same) >= 0.95 * len(clips)


def test_a_captured_window_is_one_word_and_silence_in_it_is_none():
    engine = LiveEngine(EndpointSettings(), AmplitudeDetector(), CropContract(), paused=True)
    stream = words(0.512, 0.256, 1.6)
    events = engine.push(stream[:8192])
    assert engine.capture(1000)
    assert not engine.capture(1000)  # one at a time
    events += engine.push(stream[8192:])
    (utterance,) = (event for event in events if isinstance(event, Utterance))
    assert (utterance.start, utterance.end, utterance.reason) == (8192, 8192 + 16_000, None)
    assert np.array_equal(utterance.waveform, stream[8192 - 160 * 16 :][: utterance.waveform.size])
    engine.capture(320)
    quiet = next(event for event in engine.push(words(1.0)) if isinstance(event, Utterance))
    assert quiet.reason == "too_quiet"
