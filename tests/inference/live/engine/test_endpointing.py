"""The state machine on scripted scores; one frame is 32 ms, so 128 ms of hangover are four frames."""

import itertools

import pytest

from inference.errors import UserError
from inference.live.engine.endpointing import PROFILES, Endpointer, EndpointSettings, Segment, State

FRAME = 512


def run(scores: list[float], settings: EndpointSettings | None = None) -> list[Segment]:
    endpointer = Endpointer(settings or EndpointSettings(), FRAME, 16_000)
    found = [endpointer.push(score, index * FRAME) for index, score in enumerate(scores)]
    return [segment for segment in found if segment]


def test_a_word_begins_at_its_first_frame_and_ends_before_the_silence():
    (segment,) = run([0.1] * 3 + [0.9] * 10 + [0.1] * 4)
    assert segment == Segment(
        start=3 * FRAME, end=13 * FRAME, last_speech=13 * FRAME, decided=17 * FRAME, reason=None
    )


def test_nothing_is_said_before_the_hangover_is_over():
    assert run([0.9] * 10 + [0.1] * 3) == []


def test_one_loud_frame_is_no_onset():
    assert run([0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]) == []


def test_two_of_three_frames_confirm_an_onset():
    (segment,) = run([0.9, 0.1, 0.9, 0.9, 0.9] + [0.0] * 4)
    assert segment.start == 0


def test_a_second_chance_begins_after_a_failed_onset():
    (segment,) = run([0.9, 0.1, 0.1] + [0.9] * 5 + [0.0] * 4)
    assert segment.start == 3 * FRAME


def test_speech_that_resumes_within_the_hangover_is_one_word():
    (segment,) = run([0.9] * 5 + [0.1] * 3 + [0.9] * 5 + [0.1] * 4)
    assert (segment.start, segment.end) == (0, 13 * FRAME)


@pytest.mark.parametrize(("profile", "silent_frames"), [("string", 3), ("isolated", 4)])
def test_the_profile_sets_the_silence_that_ends_a_word(profile, silent_frames):
    settings = PROFILES[profile]
    assert len(run([0.9] * 5 + [0.1] * silent_frames, settings)) == 1
    assert run([0.9] * 5 + [0.1] * (silent_frames - 1), settings) == []


def test_between_the_thresholds_a_word_goes_on_but_does_not_begin():
    assert run([0.37] * 20) == []
    (segment,) = run([0.9] * 3 + [0.37] * 5 + [0.1] * 4)
    assert (segment.end, segment.last_speech) == (8 * FRAME, 3 * FRAME)


def test_between_the_thresholds_a_hangover_goes_on():
    (segment,) = run([0.9] * 5 + [0.1, 0.37, 0.1, 0.37])
    assert segment.end == 5 * FRAME


def test_too_little_speech_is_too_short():
    (segment,) = run([0.9] * 2 + [0.1] * 4)
    assert segment.reason == "too_short"
    (segment,) = run([0.9] * 3 + [0.1] * 4)
    assert segment.reason is None


def test_long_speech_is_answered_once_and_then_ignored_until_silence():
    first, second = run([0.9] * 200 + [0.1] * 4 + [0.9] * 5 + [0.1] * 4)
    assert first.reason == "too_long"
    assert first.decided == 39 * FRAME  # the first frame that ends after 1200 ms
    assert (second.start, second.reason) == (204 * FRAME, None)


def test_repeats_are_separate_and_never_overlap():
    segments = run(([0.9] * 6 + [0.1] * 6) * 3)
    assert len(segments) == 3
    assert all(a.end <= b.start for a, b in itertools.pairwise(segments))


def test_cutting_closes_an_open_word_where_the_audio_stops():
    endpointer = Endpointer(EndpointSettings(), FRAME, 16_000)
    for index in range(5):
        endpointer.push(0.9, index * FRAME)
    assert endpointer.cut(5 * FRAME) == Segment(0, 5 * FRAME, 5 * FRAME, 5 * FRAME)
    assert endpointer.state is State.IDLE
    assert endpointer.cut(5 * FRAME) is None


def test_cutting_for_a_reason_keeps_the_reason():
    endpointer = Endpointer(EndpointSettings(), FRAME, 16_000)
    for index in range(5):
        endpointer.push(0.9, index * FRAME)
    segment = endpointer.cut(5 * FRAME, "stale")
    assert segment is not None
    assert segment.reason == "stale"


@pytest.mark.parametrize(("enter", "leave"), [(0.3, 0.5), (0.4, 0.0), (1.0, 0.5)])
def test_impossible_thresholds_are_refused_with_an_example(enter, leave):
    with pytest.raises(UserError, match=r"for example 0\.4 and 0\.35"):
        EndpointSettings(enter_threshold=enter, leave_threshold=leave)
