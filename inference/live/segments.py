"""A long recording as its words: the microphone's endpointing, without a microphone."""

from collections.abc import Iterator

from inference.backends.base import Backend
from inference.live.engine.endpointing import PROFILES
from inference.live.engine.events import Answer, Event, Utterance
from inference.live.engine.live_engine import LiveEngine
from inference.live.engine.voice_activity import build_detector
from inference.live.recognition import Recogniser
from inference.live.source.items import Block, Opening
from inference.live.source.replay import Replay


def find_segments(path: str, backend: Backend, name: str) -> Iterator[Answer]:
    """Endpoints a recording of any length and recognises its words, in order.

    Args:
        path: The audio file.
        backend: Recognises the words.
        name: Its name, for messages.

    Yields:
        One answer per word, as the live engine gives it; without latency.

    Raises:
        AudioError: If the file holds no audio that FFmpeg can read.
    """
    engine = LiveEngine(PROFILES["isolated"], build_detector(), backend.crop_contract)
    recogniser = Recogniser(backend, name)

    def answers(events: list[Event]) -> Iterator[Answer]:
        return (recogniser.answer(event) for event in events if isinstance(event, Utterance))

    for item in Replay(path).stream():
        if isinstance(item, Opening):
            engine.skip(0, item.sampling_rate)
        elif isinstance(item, Block):
            yield from answers(engine.push(item.waveform))
    yield from answers(engine.flush())
