"""One request's way: encoded audio in, the answer of one backend out, with its times."""

import threading
import time
from dataclasses import dataclass, field, replace

import numpy as np

from inference.app.streaming import ClientStream
from inference.audio import SAMPLING_RATE, collect_warnings, decode_audio
from inference.backends.base import Backend
from inference.backends.table import load_backend, parse_variant
from inference.live.engine.events import Utterance
from inference.live.recognition import build_engine
from inference.prediction import Answer, Prediction
from inference.stage_timer import collect_stages

#: Clips up to this long are taken whole, as files are; longer recordings are cut at the word.
WHOLE_CLIP_SECONDS = 1.5
#: Stands for a word among others that was not understood, as in strings of digits.
NOT_UNDERSTOOD = "?"


@dataclass(frozen=True)
class WordAnswer:
    """What one backend says of one word, as it is sent.

    Attributes:
        label: A label of the vocabulary, None if there is none to show.
        reason: Why there is none: ``no_speech``, ``several_words``, ``low_score``, ``unknown_class``
            or what a text recogniser reports; None with a label.
        score: The backend's score for its best label.
        probabilities: Label -> probability; empty where undefined.
        hypothesis: A text recogniser's raw text.
        start_s: Where the word was taken to begin, in seconds.
        end_s: Where it was taken to end.
    """

    label: str | None
    reason: str | None
    score: float | None
    probabilities: dict[str, float]
    hypothesis: str | None
    start_s: float
    end_s: float

    @property
    def word(self) -> str:
        """What it is among other words."""
        return self.label or NOT_UNDERSTOOD


@dataclass(frozen=True)
class ClipAnswer(WordAnswer):
    """What one backend says of one recording, as it is sent.

    Attributes:
        backend: Name as asked for, with its options.
        duration_s: Length of the recording, in seconds.
        latency_ms: Milliseconds by stage: ``decode`` the file, ``find`` the word, the backend's own
            stages, and the ``total``.
        words: The words of a recording with the reason ``several_words``, in order; else empty.
        notes: What had to be mended in the audio, such as channels that cancel each other.
    """

    backend: str
    duration_s: float
    latency_ms: dict[str, float]
    words: list[WordAnswer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def spoken(self) -> list[WordAnswer]:
        """Its words one by one, none where nothing was spoken."""
        return self.words or ([] if self.reason == "no_speech" else [self])

    @property
    def text(self) -> str:
        """The labels, as everywhere in the project; empty where there is none."""
        spoken = self.spoken
        return " ".join(answer.word for answer in spoken) if any(answer.label for answer in spoken) else ""


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
        with collect_warnings() as notes:
            waveform = self.decode(audio)
        decode_ms = round(1e3 * (time.perf_counter() - started), 3)
        answer = self.answer(waveform, variant)
        total_ms = round(answer.latency_ms["total"] + decode_ms, 3)
        latency_ms = {"decode": decode_ms, **answer.latency_ms, "total": total_ms}
        return replace(answer, latency_ms=latency_ms, notes=notes)

    def answer(self, waveform: np.ndarray, variant: str) -> ClipAnswer:
        """Recognises the one word of a recording; of several each by itself.

        Args:
            waveform: Shape ``(num_samples,)`` at 16 kHz, as ``decode`` gives it.
            variant: Backend, with options as in ``whisper:decode=constrained``.

        Raises:
            UserError: If the backend is unknown or cannot be loaded.
        """
        backend = self.backend(variant)
        started = time.perf_counter()
        found = find_words(waveform, backend)
        find_ms = 1e3 * (time.perf_counter() - started)
        with self._locks[variant], collect_stages() as stages_ns:
            asked = time.perf_counter()
            predictions = backend.predict([cut for _, _, cut in found]) if found else []
            predict_ms = 1e3 * (time.perf_counter() - asked)
        decide = backend.operating_point.decide
        words = [
            _describe(decide(prediction), start, end)
            for (start, end, _), prediction in zip(found, predictions, strict=True)
        ]
        duration_s = waveform.size / SAMPLING_RATE
        if len(words) == 1:
            whole = words.pop()
        else:
            reason = "several_words" if words else "no_speech"
            whole = _describe(decide(Prediction(None, reason=reason)), 0.0, duration_s)
        stages_ms = {name: elapsed / 1e6 for name, elapsed in stages_ns.items()}
        latency_ms = {"find": find_ms, **stages_ms, "total": find_ms + predict_ms}
        return ClipAnswer(
            **vars(whole),
            backend=variant,
            duration_s=round(duration_s, 3),
            latency_ms={name: round(value, 3) for name, value in latency_ms.items()},
            words=words,
        )

    def stream(self, variant: str) -> ClientStream:
        """A stream of words to a backend.

        Args:
            variant: Backend, as for ``answer``.

        Raises:
            UserError: If the backend is unknown or cannot be loaded.
        """
        return ClientStream(self.backend(variant), variant, self._locks[variant])


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


def _describe(answer: Answer, start_s: float, end_s: float) -> WordAnswer:
    prediction = answer.prediction
    return WordAnswer(
        label=answer.label,
        reason=answer.reason,
        score=prediction.score,
        probabilities=answer.probabilities,
        hypothesis=prediction.hypothesis,
        start_s=round(start_s, 3),
        end_s=round(end_s, 3),
    )
