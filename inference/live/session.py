"""One live session: a single loop from the source through engine and backend to the outputs."""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from inference.audio import SAMPLING_RATE
from inference.live.engine.events import (
    Cleared,
    Event,
    Gap,
    Hint,
    Lost,
    Ready,
    Recording,
    Recovered,
    Summary,
    Utterance,
    Withdrawn,
    Word,
)
from inference.live.engine.timing import LatencyLog, latency_ms
from inference.live.output.keyboard import Command
from inference.live.source.items import Block, Item, Loss, Opening, Source
from inference.live.source.recording import RecordedSource

if TYPE_CHECKING:
    from inference.live.engine.live_engine import LiveEngine
    from inference.live.output.plain_lines import Output
    from inference.live.recognition import UtteranceRecogniser

#: An answer that took longer is marked as late; several in a row mean that the backend is too slow.
LATE_MS = 2000.0
LATE_IN_A_ROW = 3
TOO_SLOW = "the backend answers slower than you speak: choose a lighter one, for example --backend mfcc."
#: As many answers can be taken back.
MAX_UNDO = 1000


class Session:
    """Runs a source to its end, or until interrupted.

    Args:
        engine: Endpoints the audio.
        recogniser: Answers utterances.
        screen: The output whose printing ends the latency of an answer.
        outputs: Others, shown every event after the screen and with the full latency.
        commands: Gives what the speaker asked for since it was last called.
        split: Takes an utterance apart that may hold several words.
        capture_ms: Length of the window that is taken on demand, None for none.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        recogniser: "UtteranceRecogniser",
        screen: "Output",
        outputs: "Sequence[Output]" = (),
        commands: Callable[[], Iterable[Command]] = tuple,
        split: Callable[[Utterance], list[Utterance]] | None = None,
        capture_ms: int | None = None,
    ):
        self._engine = engine
        self._recogniser = recogniser
        self._screen = screen
        self._outputs = outputs
        self._commands = commands
        self._split = split or (lambda utterance: [utterance])
        self._capture_ms = capture_ms
        self._undo: deque[int] = deque(maxlen=MAX_UNDO)
        self._late_in_a_row = 0
        self._lost_at: float | None = None
        self._received_at = 0.0
        self._block: Block
        self._num_shown = 0
        self._rejects: Counter[str] = Counter()
        self._lost_samples = 0
        self._overflows = 0
        self._latencies = LatencyLog()

    def run(self, source: Source) -> None:
        """Listens until the source ends or the speaker quits; the source is released in any case."""
        with contextlib.closing(source.stream()) as stream:
            for item in stream:
                self.take(item)
                if self._engine.is_idle:
                    source.rest()
                commands = list(self._commands())
                if Command.QUIT in commands:
                    break
                for command in commands:
                    self._obey(command, source)
        self.finish()

    def finish(self) -> None:
        """Ends the stream: a word under way is answered."""
        self._handle(self._engine.flush())

    def summarise(self) -> None:
        """Shows the summary; also after an interruption."""
        self.show(
            Summary(
                seconds=self._engine.position / SAMPLING_RATE,
                digits=self._num_shown,
                rejects=dict(self._rejects),
                lost_samples=self._lost_samples,
                overflows=self._overflows,
                latency_ms=self._latencies.summary(),
            )
        )

    def take(self, item: Item) -> None:
        """Takes what a source yields, for who has no source that could be waited for."""
        self._received_at = time.perf_counter()
        if isinstance(item, Block):
            self._hear(item)
        elif isinstance(item, Opening):
            self._open(item)
        elif isinstance(item, Loss):
            self._lost_at = self._received_at
            self._handle([*self._engine.skip(0), Lost(item.reason)])

    def _obey(self, command: Command, source: Source) -> None:
        listens = command is Command.LISTEN or (command is Command.TOGGLE and not self._engine.is_listening)
        if listens:
            self._engine.resume()
        elif command in (Command.PAUSE, Command.TOGGLE):
            self._engine.pause()
        elif command is Command.CAPTURE and self._capture_ms:
            self._handle(self._engine.capture(self._capture_ms))
        elif command is Command.RECORD and isinstance(source, RecordedSource):
            self.show(Recording(source.toggle()))
        elif command is Command.UNDO and self._undo:
            self.show(Withdrawn(self._undo.pop()))
        elif command is Command.CLEAR:
            self._undo.clear()
            self.show(Cleared())

    def _open(self, opening: Opening) -> None:
        self._engine.skip(0, opening.sampling_rate)
        if self._lost_at is None:
            names = (self._recogniser.backend_name, self._engine.detector_name)
            self.show(Ready(opening.name, opening.sampling_rate, *names))
        else:
            seconds = time.perf_counter() - self._lost_at
            self.show(Recovered(opening.name, opening.sampling_rate, seconds))
            self._lost_at = None

    def _hear(self, block: Block) -> None:
        self._block = block
        self._overflows += block.overflowed
        if block.missing:
            self._handle(self._engine.skip(block.missing))
        self._handle(self._engine.push(block.waveform))

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Utterance):
                started = time.perf_counter()
                for part in self._split(event):
                    self._answer(part, started)
            elif isinstance(event, Gap):
                self._lost_samples += event.num_samples
                self.show(event)
            else:
                self.show(event)

    def _answer(self, utterance: Utterance, started: float) -> None:
        not_yet_due = (self._engine.received - utterance.decided) / SAMPLING_RATE
        moments = [
            self._block.captured_at - not_yet_due,
            self._block.delivered_at,
            self._received_at,
            started,
        ]
        word = self._recogniser.answer(utterance)
        moments.append(time.perf_counter())
        so_far = latency_ms(utterance, [*moments, moments[-1]])
        word = replace(word, latency_ms=so_far, late=so_far["total"] > LATE_MS)
        self._screen.show(word)
        moments.append(time.perf_counter())
        word = replace(word, latency_ms=latency_ms(utterance, moments))
        for output in self._outputs:
            output.show(word)
        self._count(word)

    def _count(self, word: Word) -> None:
        self._late_in_a_row = self._late_in_a_row + 1 if word.late else 0
        if self._late_in_a_row == LATE_IN_A_ROW:
            self.show(Hint(TOO_SLOW))
        if word.answer.label is None:
            self._rejects[word.answer.reason or ""] += 1
        else:
            self._num_shown += 1
            self._undo.append(word.id)
            self._latencies.add(word.latency_ms)

    def show(self, event: Event) -> None:
        """Shows an event on every output."""
        for output in (self._screen, *self._outputs):
            output.show(event)
