"""Entry point: brings public weights to this machine, or lists what lies here already.

python -m inference.weights
python -m inference.weights tiny.en base
"""

import argparse
import sys

from inference.command_line import EXIT_OK, CommandLineParser, reports_user_errors
from inference.weights.fetching import fetch_weights, find_weights
from inference.weights.table import WEIGHTS


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m inference.weights",
        description="Brings public weights into the user's cache, verified by their published hashes; "
        "without a name lists what there is.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WEIGHTS))
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Fetches what is named, or lists all."""
    names = build_parser().parse_args(argv).names
    for name in names or WEIGHTS:
        folder = fetch_weights(name) if names else find_weights(name)
        weights = WEIGHTS[name]
        sys.stdout.write(
            f"{name}\t{folder or 'not here'}\t{weights.num_bytes / 1e6:.0f} MB\t"
            f"{weights.repository}\t{weights.licence} licence\n"
        )
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
