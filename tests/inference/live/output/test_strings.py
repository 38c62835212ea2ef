"""Strings: what belongs together, what ends one, check digits, and what is taken back."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inference.live.__main__ as live
from inference.live.engine.events import (
    Cleared,
    DigitString,
    Level,
    Partial,
    StateChange,
    Summary,
    Withdrawn,
    Word,
)
from inference.live.output.strings import Strings, StringSettings, is_luhn
from tests.inference.live.fakes import heard

MS = 16


def word(number: int, label: str | None, start_ms: int, reason: str | None = None) -> Word:
    return heard(label, start_ms * MS, (start_ms + 300) * MS, number, reason)


def collect(*events, **settings) -> list:
    shown: list = []

    class Memory:
        def show(self, event):
            shown.append(event)

    strings = Strings(StringSettings(**settings), [Memory()])
    for event in events:
        strings.show(event)
    return shown


def strings(shown: list) -> list[DigitString]:
    return [event for event in shown if isinstance(event, DigitString)]


def level(ms: int) -> Level:
    return Level(ms * MS, -60.0, -60.0)


FIVES = [word(1, "5", 0), word(2, "5", 400), word(3, "0", 1200), word(4, "1", 1600)]


def test_a_string_ends_with_silence_and_keeps_its_pauses():
    (string,) = strings(collect(*FIVES, level(3300), level(3400), level(9000)))
    assert (string.digits, string.text) == ("5501", "55 01")
    assert (string.ids, string.scores) == ((1, 2, 3, 4), (0.9,) * 4)
    assert (string.start, string.end) == (0, 1900 * MS)
    assert (string.length_ok, string.luhn_ok) == (None, None)


def test_nobody_is_interrupted():
    speech, silence = StateChange("speech", 0), StateChange("listening", 0)
    assert strings(collect(*FIVES, speech, level(9000))) == []
    assert len(strings(collect(*FIVES, speech, level(9000), silence, level(9100)))) == 1


def test_the_expected_length_ends_it_at_once_and_a_shorter_one_says_so():
    shown = collect(*FIVES, length=4)
    assert [event.text for event in shown if isinstance(event, Partial)] == ["5", "55", "55 0", "55 01"]
    assert strings(shown)[0].length_ok is True
    assert strings(collect(*FIVES, level(9000), length=6))[0].length_ok is False


def test_a_doubtful_word_keeps_its_place_and_a_noise_has_none():
    events = [word(1, "5", 0), word(2, None, 400, "low_score"), word(3, None, 800, "too_short")]
    assert strings(collect(*events, level(9000)))[0].digits == "5?"


def test_what_is_undone_or_cleared_is_gone():
    shown = collect(*FIVES, Withdrawn(4), Withdrawn(99), level(9000))
    assert strings(shown)[0].digits == "550"
    assert collect(*FIVES, Cleared(), level(9000))[-1] == Partial("55 01", (1, 2, 3, 4))


def test_the_end_of_the_session_ends_the_string():
    assert strings(collect(*FIVES, Summary(1.0, 4, {}, 0, 0, {})))[0].digits == "5501"


@pytest.mark.parametrize(
    ("digits", "valid"),
    [("4539578763621486", True), ("4539578763621487", False), ("00", True), ("5", False), ("45?7", False)],
)
def test_known_check_digits(digits, valid):
    assert is_luhn(digits) is valid


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_exactly_one_check_digit_fits_and_any_single_error_is_found(digits):
    text = "".join(map(str, digits))
    fitting = [check for check in "0123456789" if is_luhn(text + check)]
    assert len(fitting) == 1
    right = text + fitting[0]
    for place, other in itertools.product(range(len(right)), "0123456789"):
        assert is_luhn(right[:place] + other + right[place + 1 :]) is (other == right[place])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", "4"], "add --string"),
        (["--luhn"], "add --string"),
        (["--string", "--luhn", "--length", "1"], "--luhn checks"),
        (["--string", "--length", "0"], "0 is not 1 or more"),
    ],
)
def test_contradicting_options_are_usage_errors(capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        live.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
