"""Stand-ins: a detector that reads scores off the audio, a backend with one answer, a source in memory."""

import numpy as np

from inference.audio import SAMPLING_RATE
from inference.backends.base import Backend
from inference.crop import CropContract
from inference.live.engine.endpointing import EndpointSettings
from inference.live.engine.events import Level, Word
from inference.live.engine.live_engine import LiveEngine
from inference.live.recognition import UtteranceRecogniser
from inference.live.session import Session
from inference.live.source.items import Block, Opening, Source
from inference.prediction import Answer, Prediction, prediction_from_probabilities
from inference.vocabulary import DIGITS


class AmplitudeDetector:
    """The score of a frame is its largest amplitude; frames of 512 samples as for Silero."""

    name = "amplitude"
    frame_samples = 512
    least_mean_score = 0.0
    least_joint_score = 0.0

    def score(self, frame: np.ndarray) -> float:
        return float(np.abs(frame).max())

    def reset(self) -> None:
        pass


class ConstantBackend(Backend):
    """Hears the same digit in everything and remembers what it was given."""

    def __init__(self, label: str = "7", score: float = 0.91):
        self.label, self.score = label, score
        self.heard: list[np.ndarray] = []

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "ConstantBackend":
        return cls()

    def predict(self, waveforms) -> list[Prediction]:
        self.heard += waveforms
        probabilities = np.full(len(DIGITS.labels), (1 - self.score) / (len(DIGITS.labels) - 1))
        probabilities[DIGITS.labels.index(self.label)] = self.score
        return [prediction_from_probabilities(probabilities) for _ in waveforms]


class BrokenBackend(ConstantBackend):
    def predict(self, waveforms) -> list[Prediction]:
        raise RuntimeError("weights on fire")


class MemorySource(Source):
    """Yields what it is given; the clock stands still."""

    def __init__(self, *items):
        self.items = items

    def stream(self):
        yield from self.items


def opening(sampling_rate: int = SAMPLING_RATE) -> Opening:
    return Opening("memory", sampling_rate)


def block(waveform: np.ndarray, **fields) -> Block:
    return Block(waveform, captured_at=0.0, delivered_at=0.0, **fields)


def words(*seconds: float, amplitude: float = 0.8, sampling_rate: int = SAMPLING_RATE) -> np.ndarray:
    """Silence and sound in turns, beginning with silence; durations in seconds."""
    parts = [
        np.full(round(duration * sampling_rate), amplitude * (index % 2), np.float32)
        for index, duration in enumerate(seconds)
    ]
    return np.concatenate(parts)


def heard(
    label: str | None, start: int, end: int, number: int = 1, reason: str | None = None, **answer
) -> Word:
    """A word as the session shows it, said with a score of 0.9."""
    said = Prediction(label, 0.9, answer.pop("probabilities", None))
    return Word(number, Answer(label, reason, said, **answer), start, end, {"total": 154.4}, "mfcc")


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
