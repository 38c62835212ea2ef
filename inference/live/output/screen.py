"""The terminal page: a status line at the bottom, one permanent line per utterance above it."""

import collections
import statistics
import time
from types import TracebackType

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from inference.live.engine.events import (
    Asked,
    Cleared,
    DigitString,
    Event,
    Gap,
    Level,
    Lost,
    Partial,
    Ready,
    Recording,
    Recovered,
    StateChange,
    Taken,
    Word,
)
from inference.live.output.keyboard import KEYS_HELP, Keyboard
from inference.live.output.plain_lines import describe

REDRAW_SECONDS = 0.1
#: The loudness bars span this range.
QUIET_DBFS, LOUD_DBFS = -66.0, -10.0
NUM_BARS = 12
#: Parts of the status line that a narrow terminal does without, the first to go first.
EXPENDABLE = ("backend", "noise", "bars")
#: Width of a full score bar.
BAR_CELLS = 10
#: Width of one candidate: the label, its bar and its probability.
CANDIDATE_CELLS = BAR_CELLS + 9
FORCED = "  forced"
LABELS = {
    "opening": "yellow",
    "listening": "green",
    "speech": "bold red",
    "paused": "dim",
    "lost": "bold yellow",
}


class Screen:
    """Shows events on a terminal; a context manager that leaves the terminal as it was.

    Args:
        console: The terminal. Width, ``NO_COLOR`` and ``TERM`` are respected by it.
        backend: Name to show.
        keys: What the keys do.
    """

    def __init__(self, console: Console, backend: str, keys: str = KEYS_HELP):
        self._console = console
        self._backend = backend
        self._keys = keys
        self._unicode = console.encoding.startswith("utf")
        self._glyphs = " ▁▂▃▄▅▆▇█" if self._unicode else " .:-=+*#%"
        self._state = "opening"
        self._levels: collections.deque[float] = collections.deque([QUIET_DBFS] * NUM_BARS, maxlen=NUM_BARS)
        self._noise_dbfs = QUIET_DBFS
        self._totals_ms: collections.deque[float] = collections.deque(maxlen=100)
        self._lost_samples = 0
        self._partial = ""
        self._asked = ""
        self._is_recording = False
        self._drawn_at = 0.0
        self._live = Live(self._status(), console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Screen":
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Updates the status line, and adds the event's permanent line if it has one."""
        match event:
            case Level():
                self._levels.append(event.dbfs)
                self._noise_dbfs = event.noise_dbfs
            case StateChange():
                self._state = event.state
            case Ready() | Recovered():
                self._state = "listening"
            case Lost():
                self._state = "lost"
            case Partial():
                self._partial = event.text
            case DigitString() | Cleared():
                self._partial = ""
            case Asked():
                self._asked = event.text
            case Recording():
                self._is_recording = bool(event.path)
            case Gap():
                self._lost_samples += event.num_samples
            case Word() if event.answer.label is not None:
                self._totals_ms.append(event.latency_ms["total"])
        # What is asked for stands above the status line until something else is.
        line = None if isinstance(event, Asked) else describe(event)
        if line is not None:
            self._console.print(
                self._permanent(event, line), no_wrap=isinstance(event, Word), overflow="crop"
            )
        if isinstance(event, Ready) and Keyboard.is_available():
            self._console.print(Text(f"keys: {self._keys}", style="dim"))
        is_news = line is not None or isinstance(event, Asked)
        if is_news or time.perf_counter() - self._drawn_at >= REDRAW_SECONDS:
            self._drawn_at = time.perf_counter()
            self._live.update(self._status(), refresh=True)

    def _permanent(self, event: Event, line: str) -> Text:
        if isinstance(event, DigitString):
            return Text(line, style="bold red" if False in (event.length_ok, event.luhn_ok) else "bold cyan")
        if isinstance(event, Taken):
            return Text(line, style="green" if event.problem is None else "yellow")
        if not isinstance(event, Word):
            return Text(line, style="dim")
        answer = event.answer
        if answer.label is None:
            mark = "\N{MIDDLE DOT}" if self._unicode else "-"
            return Text(f"{mark}{line[1:]}", style="dim")
        delay = f"  {event.latency_ms['total']:4.0f} ms"
        parts: list[str | tuple[str, str]] = [(answer.label, "bold green"), delay]
        taken = cell_len(answer.label + delay) + (cell_len(FORCED) if answer.forced else 0)
        top = event.top
        for label, probability in top[: max(0, self._console.width - taken) // CANDIDATE_CELLS]:
            bar = self._glyphs[-1] * round(BAR_CELLS * probability)
            parts += [f"  {label} ", (f"{bar:{BAR_CELLS}}", "green"), f" {probability:.2f}"]
        if not top and answer.prediction.hypothesis:
            parts.append(f"  {answer.prediction.hypothesis}")
        if answer.forced:
            parts.append((FORCED, "yellow"))
        return Text.assemble(*parts)

    def _status(self) -> Text:
        bullet = "\N{BLACK CIRCLE}" if self._unicode else "*"
        p50 = f"  p50 {statistics.median_low(self._totals_ms):.0f} ms" if self._totals_ms else ""
        parts = {
            "state": (f"{bullet} {self._state.upper():9}", LABELS[self._state]),
            "digits": (f" {self._partial}" if self._partial else "", "bold cyan"),
            "bars": (f"  {self._bars()}", ""),
            "noise": (f"  noise {self._noise_dbfs:.0f} dB", ""),
            "backend": (f"  {self._backend}", ""),
            "recording": ("  REC" if self._is_recording else "", "bold red"),
            "delay": (p50, ""),
            "lost": (f"  lost {self._lost_samples / 16:.0f} ms" if self._lost_samples else "", "bold yellow"),
        }
        for name in EXPENDABLE:
            if sum(cell_len(text) for text, _ in parts.values()) > self._console.width:
                del parts[name]
        asked = [(f"{self._asked}\n", "bold cyan")] if self._asked else []
        return Text.assemble(*asked, *parts.values(), no_wrap=True, overflow="crop")

    def _bars(self) -> str:
        return "".join(
            self._glyphs[round((len(self._glyphs) - 1) * min(max(share, 0.0), 1.0))]
            for share in ((level - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS) for level in self._levels)
        )
