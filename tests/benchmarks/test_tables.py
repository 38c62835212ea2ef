"""How figures and tables look."""

import pytest

from benchmarks.tables import Footnotes, _digits, align, markdown_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1234"),
        (123.4, "123"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.1234, "0.123"),
        (0.0004, "<0.001"),
    ],
)
def test_three_digits_and_no_measured_zero(value: float, text: str) -> None:
    assert _digits(value) == text


def test_columns_line_up_even_around_empty_cells() -> None:
    lines = markdown_table(["backend", "ms"], [["mfcc", "1.5"], ["a|b", ""]])
    assert lines == [
        "| backend |  ms |",
        "| ------- | --: |",
        "| mfcc    | 1.5 |",
        "| a\\|b    |     |",
    ]
    assert align([["a", "1"], ["bb", "10"]]) == ["a    1", "bb  10"]


def test_equal_reasons_share_a_footnote() -> None:
    footnotes = Footnotes()
    assert [footnotes.mark(text) for text in ("x", "y", "x")] == ["[1]", "[2]", "[1]"]
