"""Taking an utterance apart: where, how often, and what becomes of the rest."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.crop import CropContract
from inference.live.engine.events import Utterance
from inference.live.engine.splitter import Splitter, cheapest_path, minima, valleys
from inference.prediction import Prediction

CONTRACT = CropContract(pre_ms=100, post_ms=60, min_ms=100)
RATE = 16_000


def tone(seconds: float) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(np.pi * times / seconds) * np.sin(2 * np.pi * 300 * times)).astype(np.float32)


def utterance(*seconds: float, reason: str | None = None) -> Utterance:
    """Words of a tone each, one after the other, with the contract's margins around them."""
    speech = np.concatenate([tone(part) for part in seconds])
    waveform = np.pad(speech, (1600, 960))
    end = 50_000 + speech.size
    return Utterance(9, 50_000, end, end, 60_000, reason, 1600, 0.0, waveform)


def sure_below(seconds: float):
    """A backend that is sure of short pieces and doubts long ones."""

    def predict(waveforms):
        return [Prediction("7", 0.95 if waveform.size <= seconds * RATE else 0.3) for waveform in waveforms]

    return predict


def test_words_that_run_together_are_told_apart():
    parts = Splitter(sure_below(0.55), CONTRACT).split(utterance(0.35, 0.4, 0.3))
    assert [part.id for part in parts] == [1, 2, 3]
    assert all(before.end == after.start for before, after in itertools.pairwise(parts))
    borders = [parts[0].start, *(part.end for part in parts)]
    assert np.allclose(borders, 50_000 + np.array([0, 0.35, 0.75, 1.05]) * RATE, atol=0.03 * RATE)
    assert all(part.reason is None for part in parts)
    # Silence is kept at the ends only: the neighbours are no part of a word.
    lengths = [part.waveform.size - (part.end - part.start) for part in parts]
    assert lengths == [1600, 0, 960]


def test_a_valley_inside_a_word_is_left_alone_if_the_backend_knows_the_whole():
    whole = utterance(0.2, 0.25)
    (part,) = Splitter(sure_below(0.7), CONTRACT).split(whole)
    assert (part.start, part.end, part.id) == (whole.start, whole.end, 1)


def test_what_was_cut_off_as_too_long_is_taken_apart_and_other_rejects_are_not():
    splitter = Splitter(sure_below(0.55), CONTRACT)
    assert len(splitter.split(utterance(*[0.4] * 4, reason="too_long"))) == 4
    (stale,) = splitter.split(utterance(*[0.4] * 4, reason="stale"))
    assert (stale.id, stale.reason) == (5, "stale")


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=40))
def test_minima_and_their_depths_are_those_of_scipy(levels):
    from scipy.signal import find_peaks

    curve = np.array(levels, np.float64)
    places, properties = find_peaks(-curve, prominence=0)
    expected = zip(places.tolist(), properties["prominences"].tolist(), strict=True)
    assert minima(curve) == list(expected)


def test_silence_and_clicks_have_no_valleys():
    assert valleys(np.zeros(16_000, np.float32)) == []
    assert valleys(np.ones(100, np.float32)) == []


@given(st.integers(2, 8), st.data())
def test_the_cheapest_path_is_that_of_all_paths(num_places, data):
    spans = list(itertools.combinations(range(num_places), 2))
    costs = {span: data.draw(st.integers(0, 9)) / 1.0 for span in data.draw(st.sets(st.sampled_from(spans)))}
    inner = range(1, num_places - 1)
    paths = [
        (0, *places, num_places - 1)
        for number in range(len(inner) + 1)
        for places in itertools.combinations(inner, number)
    ]
    open_paths = [p for p in paths if all(span in costs for span in itertools.pairwise(p))]
    found = cheapest_path(num_places, costs)
    if not open_paths:
        assert found == []
    else:
        best = min(sum(costs[span] for span in itertools.pairwise(path)) for path in open_paths)
        assert sum(costs[span] for span in itertools.pairwise(found)) == best
