"""Takes an utterance apart in which several digits run into each other.

Between two words the energy dips, but it dips inside "six" and "eight" as well. So every valley is a
possible border, and the backend is asked which choice of borders gives the words it knows best.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.crop import CropContract, crop
from inference.live.engine.events import Utterance
from inference.prediction import Prediction

#: Speech without a pause that is worth taking apart; longer speech is cut there.
MAX_SPEECH_MS = 8000
STEP_MS = 10
SMOOTH_STEPS = 5
#: A valley lies this much below the lower of the peaks beside it.
LEAST_DEPTH_DB = 3.0
#: The deepest are kept: the pieces to recognise grow with the square of their number.
MAX_VALLEYS = 24
#: Durations of one spoken digit in a string: the limits, and what is usual (log-normal; FSDD's clips).
LEAST_WORD_MS = 110
MOST_WORD_MS = 800
USUAL_WORD_S = 0.38
USUAL_LOG_SPREAD = 0.35
#: What an unusual duration costs beside the backend's doubt. On strings of validation clips without a
#: pause between them, 0.03 made the fewest errors of 0, 0.01, 0.03, 0.05 and 0.1.
DURATION_WEIGHT = 0.03
#: Stand-ins for the score of a backend that has none, and of one that hears no label.
UNKNOWN_SCORE = 0.5
LEAST_SCORE = 1e-6

Predict = Callable[[Sequence[np.ndarray]], list[Prediction]]


class Splitter:
    """Gives the utterances of a session new numbers, and those with several words a number per word.

    Args:
        predict: The backend's.
        contract: The backend's crop contract.
    """

    def __init__(self, predict: Predict, contract: CropContract):
        self._predict = predict
        self._contract = contract
        self._next_id = 1

    def split(self, utterance: Utterance) -> list[Utterance]:
        """The utterance itself, or one for each word in it, in order."""
        borders = []
        if utterance.reason in (None, "too_long"):
            borders = self._borders(utterance)
        parts = self._cut(utterance, borders) if len(borders) > 2 else [utterance]
        numbered = [replace(part, id=self._next_id + index) for index, part in enumerate(parts)]
        self._next_id += len(parts)
        return numbered

    def _borders(self, utterance: Utterance) -> list[int]:
        """Samples from the utterance's start at which words begin and end, chosen by the backend."""
        length = utterance.end - utterance.start
        speech = utterance.waveform[utterance.lead : utterance.lead + length]
        places = [0, *valleys(speech), length]
        least, most = (SAMPLING_RATE * ms // 1000 for ms in (LEAST_WORD_MS, MOST_WORD_MS))
        spans = [
            (first, last)
            for first, last in itertools.combinations(range(len(places)), 2)
            if least <= places[last] - places[first] <= most
        ]
        if len(spans) < 2:
            return []
        predictions = self._predict(
            [self._part(utterance, places[first], places[last]) for first, last in spans]
        )
        costs = {
            (first, last): _cost(prediction, (places[last] - places[first]) / SAMPLING_RATE)
            for (first, last), prediction in zip(spans, predictions, strict=True)
        }
        return [places[index] for index in cheapest_path(len(places), costs)]

    def _part(self, utterance: Utterance, start: int, end: int) -> np.ndarray:
        """The crop of one word; its neighbours are not part of it, the silence around both is."""
        first, after = utterance.lead + start, utterance.lead + end
        is_last = end == utterance.end - utterance.start
        waveform = utterance.waveform if is_last else utterance.waveform[:after]
        return crop(waveform, first, after, self._contract, earliest=first if start else 0)

    def _cut(self, utterance: Utterance, borders: list[int]) -> list[Utterance]:
        return [
            replace(
                utterance,
                start=utterance.start + start,
                end=utterance.start + end,
                last_speech=min(utterance.last_speech, utterance.start + end),
                reason=None,
                lead=0 if start else utterance.lead,
                waveform=self._part(utterance, start, end),
            )
            for start, end in itertools.pairwise(borders)
        ]


def valleys(waveform: np.ndarray) -> list[int]:
    """Samples at which the smoothed energy of a waveform ``(num_samples,)`` has a clear minimum."""
    step = SAMPLING_RATE * STEP_MS // 1000
    num_steps = waveform.size // step
    if num_steps < SMOOTH_STEPS:
        return []
    frames = waveform[: num_steps * step].reshape(num_steps, step).astype(np.float64)
    window = np.hanning(SMOOTH_STEPS + 2)[1:-1]
    energy = np.convolve(np.mean(frames**2, axis=1), window / window.sum(), mode="same")
    level_db = 10.0 * np.log10(energy + 1e-10)
    depths_db = {index: depth for index, depth in minima(level_db) if depth >= LEAST_DEPTH_DB}
    deepest = sorted(depths_db, key=lambda index: -depths_db[index])[:MAX_VALLEYS]
    return [index * step + step // 2 for index in sorted(deepest)]


def minima(levels: np.ndarray) -> list[tuple[int, float]]:
    """Local minima of a curve ``(num_steps,)``, of a flat one the middle, each with its depth.

    The depth is that below the lower of the two rims, which are the highest points on either side before
    the curve falls lower still: topographic prominence, upside down.
    """
    borders = np.flatnonzero(np.diff(levels)) + 1
    flats = list(itertools.pairwise([0, *borders.tolist(), levels.size]))
    heights = [float(levels[start]) for start, _ in flats]
    found = []
    for place in range(1, len(flats) - 1):
        height = heights[place]
        if height < min(heights[place - 1], heights[place + 1]):
            rim = min(_rim(heights[:place][::-1], height), _rim(heights[place + 1 :], height))
            start, end = flats[place]
            found.append(((start + end - 1) // 2, rim - height))
    return found


def _rim(outwards: list[float], height: float) -> float:
    """The highest level on the way out before one is lower than the height."""
    return max(itertools.takewhile(lambda level: level >= height, outwards))


def cheapest_path(num_places: int, costs: dict[tuple[int, int], float]) -> list[int]:
    """The way from the first place to the last over spans with costs (Bellman's recursion).

    Returns:
        The places on the way, both ends included; empty if none leads there.
    """
    best = [(0.0, -1), *[(float("inf"), -1)] * (num_places - 1)]
    for (first, last), cost in sorted(costs.items()):
        best[last] = min(best[last], (best[first][0] + cost, first))
    if best[-1][1] < 0:
        return []
    path = [num_places - 1]
    while path[-1] > 0:
        path.append(best[path[-1]][1])
    return path[::-1]


def _cost(prediction: Prediction, seconds: float) -> float:
    """How little a span looks like one digit: the doubt in it, per second, and its unusual duration."""
    score = UNKNOWN_SCORE if prediction.score is None else prediction.score
    doubt = -np.log(LEAST_SCORE if prediction.label is None else max(score, LEAST_SCORE)) * seconds
    return float(doubt + DURATION_WEIGHT * (np.log(seconds / USUAL_WORD_S) / USUAL_LOG_SPREAD) ** 2)
