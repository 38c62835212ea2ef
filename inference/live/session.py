"""One live session: a single loop from the source through engine and backend to the outputs."""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from inference.audio import SAMPLING_RATE
from inference.live.engine import LiveEngine
from inference.live.events import Event, Gap, Lost, Ready, Recovered, Summary, Utterance
from inference.live.recognition import Recogniser
from inference.live.sources import Block, Loss, Opening, Source
from inference.live.terminal import Output
from inference.live.timing import LatencyLog, latency_ms


class Session:
    """Runs a source to its end, or until interrupted.

    Args:
        engine: Endpoints the audio.
        recogniser: Answers utterances.
        screen: The output whose printing ends the latency of an answer.
        outputs: Others, shown every event after the screen and with the full latency.
        names: Backend and detector, for the ready record.
    """

    def __init__(
        self,
        engine: LiveEngine,
        recogniser: Recogniser,
        screen: Output,
        outputs: Sequence[Output],
        names: tuple[str, str],
    ):
        self._engine = engine
        self._recogniser = recogniser
        self._screen = screen
        self._outputs = outputs
        self._backend_name, self._detector_name = names
        self._lost_at: float | None = None
        self._received_at = 0.0
        self._block: Block
        self._digits = 0
        self._rejects: Counter[str] = Counter()
        self._lost_samples = 0
        self._overflows = 0
        self._latencies = LatencyLog()

    def run(self, source: Source) -> None:
        """Listens until the source ends; whatever interrupts it, the source is released."""
        with contextlib.closing(source.stream()) as stream:
            for item in stream:
                self._received_at = time.perf_counter()
                if isinstance(item, Opening):
                    self._open(item)
                elif isinstance(item, Loss):
                    self._lost_at = self._received_at
                    self._handle([*self._engine.skip(0), Lost(item.reason)])
                else:
                    self._take(item)
        self._handle(self._engine.flush())

    @property
    def is_lost(self) -> bool:
        """Whether the source is lost at this moment."""
        return self._lost_at is not None

    def summarise(self) -> None:
        """Shows the summary; also after an interruption."""
        self.show(
            Summary(
                seconds=self._engine.position / SAMPLING_RATE,
                digits=self._digits,
                rejects=dict(self._rejects),
                lost_samples=self._lost_samples,
                overflows=self._overflows,
                latency_ms=self._latencies.summary(),
            )
        )

    def _open(self, opening: Opening) -> None:
        self._engine.skip(0, opening.sampling_rate)
        if self._lost_at is None:
            ready = Ready(opening.name, opening.sampling_rate, self._backend_name, self._detector_name)
            self.show(ready)
        else:
            seconds = time.perf_counter() - self._lost_at
            self.show(Recovered(opening.name, opening.sampling_rate, seconds))
            self._lost_at = None

    def _take(self, block: Block) -> None:
        self._block = block
        self._overflows += block.overflowed
        if block.missing:
            self._handle(self._engine.skip(block.missing))
        self._handle(self._engine.push(block.waveform))

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Utterance):
                self._answer(event)
            elif isinstance(event, Gap):
                self._lost_samples += event.num_samples
                self.show(event)
            else:
                self.show(event)

    def _answer(self, utterance: Utterance) -> None:
        not_yet_due = (self._engine.received - utterance.decided) / SAMPLING_RATE
        moments = [
            self._block.captured_at - not_yet_due,
            self._block.delivered_at,
            self._received_at,
            time.perf_counter(),
        ]
        answer = self._recogniser.answer(utterance)
        moments.append(time.perf_counter())
        self._screen.show(replace(answer, latency_ms=latency_ms(utterance, [*moments, moments[-1]])))
        moments.append(time.perf_counter())
        answer = replace(answer, latency_ms=latency_ms(utterance, moments))
        for output in self._outputs:
            output.show(utterance)
            output.show(answer)
        if answer.digit is None:
            self._rejects[answer.reason or ""] += 1
        else:
            self._digits += 1
            self._latencies.add(answer.latency_ms)

    def show(self, event: Event) -> None:
        """Shows an event on every output."""
        for output in (self._screen, *self._outputs):
            output.show(event)
