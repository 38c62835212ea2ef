"""Entry point: ``python -m benchmarks.gate DIR limits.toml`` holds a run against limits.

A limit is kept, missed or, where an interval straddles it, undecided.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.command_line import EXIT_OK, CommandLineParser, reports_user_errors

EXIT_LIMIT_MISSED = 1


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.gate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Holds the figures of a run against the limits of a TOML file:\n\n"
        '  undecided = "fail"          # or "pass": how an interval that straddles a limit counts\n'
        '  hw = "0123456789abcdef"     # environment.hw of run.json, which milliseconds belong to; optional\n'
        "  [backends.wav2vec2]\n"
        "  loso_acc_min = 0.90         # <protocol>_acc_min\n"
        '  non_inferior_to = "mfcc"    # under the headline protocol, by margin_pp points (default 1)\n'
        "  margin_pp = 1.0\n"
        "  robust_10db_min = 0.80\n"
        "  unmapped_max = 0.02\n"
        "  p95_ms_max = 20.0\n"
        "  ratio_max = 6.0\n"
        "  model_mb_max = 50.0\n"
        "  peak_rss_mb_max = 600.0",
        epilog="Exit codes: 0 all limits kept, 1 one was missed (or is undecided where that counts), "
        "2 usage.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder written by benchmarks.run")
    parser.add_argument("limits", type=Path, metavar="LIMITS.toml", help="the limits")
    parser.add_argument("--allow-fixture", action="store_true", help="judge stand-in weights, too")
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Judges a run."""
    options = build_parser().parse_args(argv)
    # pandas and SciPy take seconds that --help does not need.
    from benchmarks.reports.limits import FAIL, PASS, judge, read_limits
    from benchmarks.reports.report_tables import read_report
    from benchmarks.text_table import align

    limits = read_limits(options.limits)
    verdicts = judge(read_report(options.folder, options.allow_fixture), limits)
    grid = align([list(verdict.cells()) for verdict in verdicts], [False] * 5)
    sys.stdout.write("\n".join(line.rstrip() for line in grid) + "\n")
    allowed = {PASS} if limits.undecided == FAIL else {PASS, "undecided"}
    return EXIT_OK if all(verdict.verdict in allowed for verdict in verdicts) else EXIT_LIMIT_MISSED


if __name__ == "__main__":
    raise SystemExit(main())
