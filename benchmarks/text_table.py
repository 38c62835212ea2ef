"""Aligned text: tables for a terminal and for Markdown."""

from collections.abc import Sequence


def markdown_grid(
    headings: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None
) -> list[str]:
    """Lines of a Markdown table, readable as plain text too.

    Args:
        numeric: Which columns are aligned to the right; all but the first by default.
    """
    numeric = numeric or _all_but_first(headings)
    escaped = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in (headings, *rows)]
    widths = [max(3, *map(len, cells)) for cells in zip(*escaped, strict=True)]
    rule = ["-" * (width - right) + ":" * right for width, right in zip(widths, numeric, strict=True)]
    first, *rest = align([rule, *escaped], numeric, separator=" | ")
    return [f"| {line} |" for line in [rest[0], first, *rest[1:]]]


def align(
    rows: Sequence[Sequence[str]], numeric: Sequence[bool] | None = None, separator: str = "  "
) -> list[str]:
    """Lines of text with aligned columns, numbers to the right; all but the first by default."""
    numeric = numeric or _all_but_first(rows[0])
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        separator.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        for row in rows
    ]


def _all_but_first(cells: Sequence[str]) -> list[bool]:
    return [place > 0 for place in range(len(cells))]
