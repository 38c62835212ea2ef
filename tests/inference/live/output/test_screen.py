"""The terminal page: what is on it, in narrow and plain terminals, and that the cursor comes back."""

import io
import re

import pytest
from rich.console import Console

from inference.live.engine.events import Gap, Level, Lost, Ready, StateChange, Summary, Word
from inference.live.output.plain_lines import describe
from inference.live.output.screen import Screen
from tests.inference.live.fakes import heard

READY = Ready("Desk microphone", 16_000, "mfcc", "silero")
PROBABILITIES = (0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0)


def word(label: str | None = "7", reason: str | None = None, forced: bool = False) -> Word:
    return heard(label, 0, 8000, reason=reason, forced=forced, probabilities=PROBABILITIES)


def show(*events, width: int = 100, encoding: str = "utf-8") -> str:
    """Everything written to a terminal, with its control sequences."""
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, errors="strict", write_through=True)
    console = Console(file=stream, force_terminal=True, width=width, height=24, _environ={"TERM": "xterm"})
    with Screen(console, "mfcc") as screen:
        for event in events:
            screen.show(event)
    return buffer.getvalue().decode(encoding)


def lines(output: str) -> list[str]:
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output)
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain)]


def test_a_digit_is_a_permanent_line_with_delay_and_score_bars():
    assert "7   154 ms  7 █████████  0.90  1 █          0.10  0            0.00" in lines(show(READY, word()))


def test_a_label_of_several_letters_is_whole():
    assert any(line.startswith("stop   154 ms  7 ███") for line in lines(show(READY, word("stop"))))


def test_a_reject_is_a_dot_with_its_reason_and_a_forced_digit_says_so():
    output = lines(show(READY, word(None, "low_score"), word(forced=True)))
    assert any(line.startswith("·  low_score") for line in output)
    assert any(line.endswith("forced") for line in output)


def test_the_status_line_follows_the_state():
    output = show(READY, StateChange("speech", 0), word(), Gap(0, 1600), Lost("unplugged"))
    assert re.search(r"● SPEECH.* mfcc  p50 154 ms", "\n".join(lines(output)))
    assert re.search(r"● LOST.*lost 100 ms", "\n".join(lines(output)))


@pytest.mark.parametrize("width", [20, 40])
def test_nothing_is_wider_than_a_narrow_terminal(width):
    output = lines(show(READY, Level(0, -30.0, -60.0), word(), word(None, "low_score"), width=width))
    assert max(map(len, output)) <= width
    assert sum("154 ms" in line and line.startswith("7") for line in output) == 1


def test_a_line_holds_whole_candidates_and_the_status_what_fits():
    output = lines(show(READY, Level(0, -30.0, -60.0), word(), word(forced=True), width=36))
    assert "7   154 ms  7 █████████  0.90" in output
    assert "7   154 ms  forced" in output
    assert "● LISTENING  p50 154 ms" in output


def test_the_summary_fits_a_narrow_terminal():
    figures = {"n": 1, "p50": 99.9, "p95": 154.4, "p99": 1234.0, "max": 0.04}
    table = describe(Summary(9.0, 1, {}, 0, 0, {"after_decision": figures})).splitlines()[-2:]
    assert table == ["                p50  p95  p99  max", "after_decision 99.9  154 1234  0.0"]


def test_a_terminal_without_unicode_gets_ascii():
    output = lines(show(READY, Level(0, -30.0, -60.0), word(), word(None, "low_score"), encoding="ascii"))
    assert any(line.startswith("-  low_score") for line in output)
    assert any("%%%%%%%%%" in line for line in output)


def test_the_cursor_comes_back_even_after_an_error():
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    with pytest.raises(KeyboardInterrupt), Screen(console, "mfcc"):
        raise KeyboardInterrupt
    assert buffer.getvalue().rstrip("\n").rfind("\x1b[?25h") > buffer.getvalue().rfind("\x1b[?25l")
