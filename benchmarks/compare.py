"""Entry point: ``python -m benchmarks.compare A B`` says what changed from one run to another.

Both runs are scored by the present rules. Only equal splits can be compared.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.command_line import EXIT_OK, CommandLineParser, reports_user_errors
from inference.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.compare",
        description="Lists the clips that run B fixed and broke against run A, the difference in accuracy "
        "with its interval, and the changes in latency, size and memory.",
        epilog="Exit codes: 0 compared, 2 the runs cannot be compared.",
    )
    parser.add_argument("first", type=Path, metavar="A", help="the earlier result folder")
    parser.add_argument("second", type=Path, metavar="B", help="the later one")
    parser.add_argument(
        "--pair",
        action="append",
        default=[],
        metavar="ROW=ROW",
        help="compare a row of A with a row of B of another name (default: rows of the same name)",
    )
    parser.add_argument(
        "--clips", type=int, default=20, metavar="N", help="list at most N clips (default: 20)"
    )
    parser.add_argument("--allow-fixture", action="store_true", help="compare stand-in weights, too")
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Compares two result folders."""
    options = build_parser().parse_args(argv)
    # pandas and SciPy take seconds that --help does not need.
    from benchmarks.reports.report_tables import read_report
    from benchmarks.reports.run_differences import compare_runs

    reports = [read_report(folder, options.allow_fixture) for folder in (options.first, options.second)]
    changes = compare_runs(reports[0], reports[1], [_pair(text) for text in options.pair])
    for change in changes:
        sys.stdout.write("\n".join(change.lines(options.clips)) + "\n\n")
    return EXIT_OK


def _pair(text: str) -> tuple[str, str]:
    first, separator, second = text.rpartition("=")
    if not separator or not first or not second:
        raise UserError(f"--pair {text}: expected ROW=ROW, a row of A and a row of B, as in mfcc=mfcc-new.")
    return first, second


if __name__ == "__main__":
    raise SystemExit(main())
