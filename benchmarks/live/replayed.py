"""Figures that need no microphone: rejection in hours of noise, other words, memory over a day's work."""

import itertools
import os
import time
from collections.abc import Generator, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from benchmarks.live.figures import Figure, accuracy_loss, score_figures
from benchmarks.live.scoring import Score, Scorer
from benchmarks.live.sounds import noise_minutes, other_words
from benchmarks.live.stream import GAP_SECONDS, build_stream
from benchmarks.worker.resident_memory import resident_bytes
from inference.audio import SAMPLING_RATE
from inference.backends.base import Backend
from inference.live.engine.events import Event, Word
from inference.live.output.plain_lines import JsonLines, Output
from inference.live.recognition import UtteranceRecogniser, build_engine
from inference.live.session import Session
from inference.live.source.items import Block, Item, Opening, Source

NOISE_MINUTES = 60
WORDS_SNR_DB = 20.0
#: Faint noise and short pauses: people who speak one after the other in a quiet room.
STRANGERS_SNR_DB = 30.0
QUICK_GAP_SECONDS = (0.2, 0.6)
MEMORY_HOURS = 8
BLOCK = SAMPLING_RATE // 10
MEGABYTE = 2**20


class Words(list[Word]):
    """An output that keeps the words."""

    def show(self, event: Event) -> None:
        """Keeps a word."""
        if isinstance(event, Word):
            self.append(event)


class Waveforms(Source):
    """A source that plays waveforms as fast as they are taken."""

    def __init__(self, waveforms: Iterator[np.ndarray]):
        self._waveforms = waveforms

    def stream(self) -> Generator[Item, None, None]:
        """Yields blocks of 100 ms; the engine gives the same events for any size."""
        yield Opening("replay", SAMPLING_RATE)
        for waveform in self._waveforms:
            for first in range(0, waveform.size, BLOCK):
                now = time.perf_counter()
                yield Block(waveform[first : first + BLOCK], captured_at=now, delivered_at=now)


def noise_figures(backend: Backend, name: str) -> list[Figure]:
    """Digits printed in an hour without speech."""
    minutes = tqdm(noise_minutes(NOISE_MINUTES), total=NOISE_MINUTES, desc="noise", unit="min", disable=None)
    words = _words(backend, name, iter(minutes))
    per_hour = _printed(words) * 60 / NOISE_MINUTES
    return [
        Figure("noise", name, "digits printed in an hour of noise, hum and music", per_hour, "", 0.5),
        Figure("noise", name, "sounds taken for speech", len(words), "", None),
    ]


def word_figures(backend: Backend, name: str, clips: list[tuple[str, np.ndarray]]) -> list[Figure]:
    """Other words taken for digits, and digits refused, in streams of both."""
    others = _score(backend, name, [("0", word) for word in other_words()], seed=1)
    digits = _score(backend, name, clips, seed=2)
    shares = (
        ("other words (espeak-ng) printed as digits", others.hits + others.wrong, others.labels, 5.0),
        ("digits rejected", digits.rejected, digits.labels, 2.0),
    )
    return [Figure("words", name, what, 100 * k / n, "%", most, n) for what, k, n, most in shares]


def stranger_figures(backend: Backend, name: str, clips: list[tuple[str, np.ndarray]]) -> list[Figure]:
    """Words of many people in quick succession, one of each."""
    score = _score(backend, name, clips, 4, STRANGERS_SNR_DB, QUICK_GAP_SECONDS)
    return [
        *score_figures("strangers", name, score),
        *accuracy_loss("strangers", name, score, share_right(backend, clips), most=None),
    ]


def share_right(backend: Backend, clips: Sequence[tuple[str, np.ndarray]]) -> float:
    """Share of clips that are shown with the right label, decided as the live engine decides."""
    predictions = backend.predict([waveform for _, waveform in clips])
    answers = map(backend.operating_point.decide, predictions)
    return sum(answer.label == label for answer, (label, _) in zip(answers, clips, strict=True)) / len(clips)


def speech_figures(backend: Backend, name: str, words: list[np.ndarray]) -> list[Figure]:
    """Labels printed while people speak and say none of them."""
    stream = build_stream(
        [("", word) for word in words], STRANGERS_SNR_DB, float("inf"), 5, QUICK_GAP_SECONDS
    )
    heard = _words(backend, name, iter([stream.waveform]))
    hours = stream.waveform.size / SAMPLING_RATE / 3600
    return [
        Figure("speech", name, "digits printed in an hour of other words", _printed(heard) / hours, "", 2.0),
        Figure(
            "speech", name, "other words printed as digits", 100 * _printed(heard) / len(words), "%", None
        ),
        Figure("speech", name, "words taken for speech", len(heard), "", None, len(words)),
    ]


def memory_figures(backend: Backend, name: str, clips: list[tuple[str, np.ndarray]]) -> list[Figure]:
    """Growth of resident memory while hours of speech are replayed, after the first half hour."""
    half_hour = build_stream(itertools.cycle(clips), WORDS_SNR_DB, 1800.0, seed=3).waveform
    sizes: list[int] = []

    def hours() -> Iterator[np.ndarray]:
        for _ in tqdm(range(2 * MEMORY_HOURS), desc="memory", unit="half hour", disable=None):
            yield half_hour
            sizes.append(resident_bytes()["rss_bytes"] or 0)

    with open(os.devnull, "w", encoding="utf-8") as sink:
        _run(backend, name, hours(), JsonLines(sink))
    growth = (sizes[-1] - sizes[0]) / MEGABYTE
    text = f"growth of memory from hour 0.5 to hour {MEMORY_HOURS} of a stream of digits"
    return [Figure("memory", name, text, growth, "MB", 5.0, len(sizes))]


def _score(
    backend: Backend,
    name: str,
    words: list[tuple[str, np.ndarray]],
    seed: int,
    snr_db: float = WORDS_SNR_DB,
    gap_seconds: tuple[float, float] = GAP_SECONDS,
) -> Score:
    stream = build_stream(words, snr_db, float("inf"), seed, gap_seconds)
    scorer = Scorer(stream.labels)
    _run(backend, name, iter([stream.waveform]), scorer)
    return scorer.score()


def _words(backend: Backend, name: str, waveforms: Iterator[np.ndarray]) -> list[Word]:
    words = Words()
    _run(backend, name, waveforms, words)
    return words


def _run(backend: Backend, name: str, waveforms: Iterator[np.ndarray], output: Output) -> None:
    session = Session(build_engine(backend), UtteranceRecogniser(backend, name), output, [])
    session.run(Waveforms(waveforms))


def _printed(words: list[Word]) -> int:
    return sum(word.answer.label is not None for word in words)
