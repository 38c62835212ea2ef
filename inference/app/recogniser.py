"""One request's way: encoded audio in, the answer of one backend out, with its times."""

import threading
import time
from dataclasses import dataclass, replace

import numpy as np

from inference.audio import SAMPLING_RATE, decode_audio
from inference.backends.base import Backend
from inference.backends.table import load_backend, parse_variant
from inference.live.engine.events import Utterance
from inference.live.recognition import build_engine
from inference.prediction import Answer, Prediction
from inference.stage_timer import collect_stages

#: Clips up to this long are taken whole, as files are; longer recordings are cut at the word.
WHOLE_CLIP_SECONDS = 1.5


@dataclass(frozen=True)
class ClipAnswer:
    """What one backend says of one recording, as it is sent.

    Attributes:
        backend: Name as asked for, with its options.
        label: A label of the vocabulary, None if there is none to show.
        reason: Why there is none: ``no_speech``, ``several_words``, ``low_score``, ``unknown_class``
            or what a text recogniser reports; None with a label.
        score: The backend's score for its best label.
        probabilities: Label -> probability; empty where undefined.
        hypothesis: A text recogniser's raw text.
        start_s: Where the word was taken to begin, in seconds.
        end_s: Where it was taken to end.
        latency_ms: Milliseconds by stage: ``decode`` the file, ``find`` the word, the backend's own
            stages, and the ``total``.
    """

    backend: str
    label: str | None
    reason: str | None
    score: float | None
    probabilities: dict[str, float]
    hypothesis: str | None
    start_s: float
    end_s: float
    latency_ms: dict[str, float]


class ClipRecogniser:
    """Loads backends when they are first asked for, and asks one at a time of each.

    Args:
        checkpoints: Backend name -> checkpoint; backends left out use their default.
        threads: CPU threads of one prediction.
        max_seconds: Longest recording to accept.
    """

    def __init__(self, checkpoints: dict[str, str], threads: int = 1, max_seconds: float = 30.0):
        self.max_seconds = max_seconds
        self._checkpoints = checkpoints
        self._threads = threads
        self._backends: dict[str, Backend] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._loading = threading.Lock()

    def backend(self, variant: str) -> Backend:
        """The backend of a name such as ``mfcc``, loaded once.

        Raises:
            UserError: If it is unknown or cannot be loaded.
        """
        with self._loading:
            if variant not in self._backends:
                name, options = parse_variant(variant)
                checkpoint = self._checkpoints.get(name)
                self._backends[variant] = load_backend(name, checkpoint, self._threads, options)
                self._locks[variant] = threading.Lock()
            return self._backends[variant]

    def decode(self, audio: bytes | str) -> np.ndarray:
        """Decodes bytes or a path to a waveform ``(num_samples,)`` at 16 kHz; AudioError if it is none."""
        return decode_audio(audio, self.max_seconds)

    def recognise(self, audio: bytes, variant: str) -> ClipAnswer:
        """Decodes and answers; the time of decoding is part of the total. Raises what both raise."""
        started = time.perf_counter()
        waveform = self.decode(audio)
        decode_ms = round(1e3 * (time.perf_counter() - started), 3)
        answer = self.answer(waveform, variant)
        total_ms = round(answer.latency_ms["total"] + decode_ms, 3)
        return replace(answer, latency_ms={"decode": decode_ms, **answer.latency_ms, "total": total_ms})

    def answer(self, waveform: np.ndarray, variant: str) -> ClipAnswer:
        """Recognises the one word of a recording.

        Args:
            waveform: Shape ``(num_samples,)`` at 16 kHz, as ``decode`` gives it.
            variant: Backend, with options as in ``whisper:decode=constrained``.

        Raises:
            UserError: If the backend is unknown or cannot be loaded.
        """
        backend = self.backend(variant)
        started = time.perf_counter()
        words = find_words(waveform, backend)
        found = time.perf_counter()
        if len(words) != 1:
            nothing = Prediction(None, reason="several_words" if words else "no_speech")
            latency_ms = {"find": 1e3 * (found - started), "total": 1e3 * (found - started)}
            span = (0.0, waveform.size / SAMPLING_RATE)
            return _describe(variant, backend.operating_point.decide(nothing), span, latency_ms)
        (start, end, cut), lock = words[0], self._locks[variant]
        with lock, collect_stages() as stages_ns:
            asked = time.perf_counter()
            (prediction,) = backend.predict([cut])
            answered = time.perf_counter()
        stages = {name: elapsed / 1e6 for name, elapsed in stages_ns.items()}
        latency_ms = {
            "find": 1e3 * (found - started),
            **stages,
            "total": 1e3 * (answered - asked + found - started),
        }
        return _describe(variant, backend.operating_point.decide(prediction), (start, end), latency_ms)


def find_words(waveform: np.ndarray, backend: Backend) -> list[tuple[float, float, np.ndarray]]:
    """The words of a recording: start and end in seconds, and the crop for the backend.

    A short clip is one word as it stands; a longer recording goes through the live engine.
    """
    seconds = waveform.size / SAMPLING_RATE
    if seconds <= WHOLE_CLIP_SECONDS:
        return [(0.0, seconds, waveform)]
    engine = build_engine(backend)
    events = [*engine.push(waveform), *engine.flush()]
    return [
        (event.start / SAMPLING_RATE, event.end / SAMPLING_RATE, event.waveform)
        for event in events
        if isinstance(event, Utterance) and event.reason is None
    ]


def _describe(
    variant: str, answer: Answer, span: tuple[float, float], latency_ms: dict[str, float]
) -> ClipAnswer:
    prediction = answer.prediction
    return ClipAnswer(
        backend=variant,
        label=answer.label,
        reason=answer.reason,
        score=prediction.score,
        probabilities=answer.probabilities,
        hypothesis=prediction.hypothesis,
        start_s=round(span[0], 3),
        end_s=round(span[1], 3),
        latency_ms={name: round(value, 3) for name, value in latency_ms.items()},
    )
