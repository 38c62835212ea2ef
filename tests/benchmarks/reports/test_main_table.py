"""How figures and tables look."""

import pandas as pd
import pytest

from benchmarks.reports.table import Column, Table, digits, p_value, shown
from benchmarks.text_table import align, markdown_grid


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
    assert digits(value) == text


def test_small_p_values_are_not_zero() -> None:
    assert [p_value(value) for value in (0.0, 0.0004, 0.049)] == ["<0.001", "<0.001", "0.049"]


def test_columns_line_up_even_around_empty_cells() -> None:
    lines = markdown_grid(["backend", "ms"], [["mfcc", "1.5"], ["a|b", ""]], [False, True])
    assert lines == [
        "| backend |  ms |",
        "| ------- | --: |",
        "| mfcc    | 1.5 |",
        "| a\\|b    |     |",
    ]
    assert align([["a", "1"], ["bb", "10"]], [False, True]) == ["a    1", "bb  10"]


def test_equal_reasons_share_a_footnote_and_a_row_has_its_own() -> None:
    frame = pd.DataFrame({"a": [None, None, 1.0], "b": [None, None, None], "reason": ["crashed", None, None]})
    columns = [Column("a", "a", missing="too few"), Column("b", "b", missing="too few")]
    text = shown(Table("t", "t", columns, frame))
    assert text.rows == [["-[1]", "-[1]"], ["-[2]", "-[2]"], ["1.0", "-[2]"]]
    assert text.footnotes == ["crashed", "too few"]
