"""The command line of ``benchmarks.run``, with what a suite puts in place of what was not typed."""

import argparse
import re
from collections.abc import Sequence

from benchmarks.records.run_record import Settings
from benchmarks.run.protocol import EXTERNAL, PROTOCOL_HELP
from benchmarks.run.request import Request
from benchmarks.run.suites import DEFAULT_SUITE, PHASES, SUITES
from finetune.corpus.loading import DATASET_HELP
from inference.backends.table import BACKENDS
from inference.command_line import (
    CommandLineParser,
    add_backend_module_argument,
    natural_number,
    path_argument,
    positive_int,
)
from inference.vocabulary import add_vocabulary_argument, checkpoint_argument

EPILOG = (
    "Exit codes: 0 all measured or unavailable, 2 usage, 3 a backend failed, 4 nothing was measured, "
    "130 interrupted."
)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_request(argv: Sequence[str] | None) -> Request:
    """Parses the command line; exits with 2 on what it does not allow."""
    parser = build_parser()
    args = parser.parse_args(argv)
    suite = SUITES.get(args.suite, DEFAULT_SUITE)
    protocols = tuple(dict.fromkeys(args.protocol or suite.protocols))
    if args.fold and "loso" not in protocols:
        parser.error(
            f"--fold chooses held-out speakers and --protocol {' '.join(protocols)} holds nobody out; "
            "say --protocol loso"
        )
    if args.other_words and not any(protocol.startswith(EXTERNAL) for protocol in protocols):
        parser.error(
            f"--other-words belongs to recordings of voices that no model heard, and --protocol "
            f"{' '.join(protocols)} names none; say --protocol {EXTERNAL}FOLDER as well"
        )
    return Request(
        suite=args.suite,
        backends=tuple(args.backends or suite.backends or BACKENDS),
        checkpoints=tuple(args.checkpoint),
        dataset=args.dataset,
        protocols=protocols,
        other_words=args.other_words,
        speakers=tuple(args.fold) if args.fold else None,
        phases=tuple(phase for phase in PHASES if phase in (args.phases or suite.phases)),
        settings=Settings(args.seed, args.threads, args.rounds or suite.rounds),
        conditions=suite.conditions,
        limit=args.limit or suite.limit,
        budget_s=args.budget or suite.budget_s,
        out=args.out,
        allow_leak=args.allow_leak,
        allow_fixture=args.allow_fixture,
        plan_only=args.plan,
        resume=args.resume,
        fresh=args.fresh,
    )


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.run",
        description="Measures accuracy, latency, size, memory and robustness of backends on the same clips.",
        epilog=EPILOG,
    )
    what = parser.add_argument_group("what to measure")
    suites = "; ".join(f"{name}: {suite.summary}" for name, suite in SUITES.items())
    what.add_argument("--suite", choices=list(SUITES), help=f"{suites} (default: {DEFAULT_SUITE.summary})")
    what.add_argument(
        "--backends",
        nargs="+",
        metavar="ENTRY",
        help=f"NAME, NAME:OPTION=VALUE or LABEL=NAME, of {', '.join(BACKENDS)}; the first one is the "
        "reference of the ratios (default: all, or those of the suite)",
    )
    what.add_argument(
        "--checkpoint",
        action="append",
        type=checkpoint_argument,
        default=[],
        metavar="ENTRY=PATH",
        help="measure an entry with this folder, Hub id or model size; a folder with one sub-folder per "
        "held-out speaker serves the protocol loso",
    )
    add_backend_module_argument(parser)
    add_vocabulary_argument(what)
    what.add_argument("--phases", nargs="+", choices=PHASES, metavar="PHASE", help=f"of {', '.join(PHASES)}")
    what.add_argument("--dataset", default="auto", help=f"{DATASET_HELP} (default: auto)")
    what.add_argument("--protocol", nargs="+", metavar="NAME", help=f"of {PROTOCOL_HELP} (default: auto)")
    what.add_argument(
        "--other-words",
        type=path_argument,
        metavar="FOLDER",
        help="recordings that hold no word of the vocabulary, by voices that no model heard: what of them "
        f"is shown as a word is reported beside {EXTERNAL}FOLDER",
    )
    what.add_argument("--fold", nargs="+", metavar="SPEAKER", help="only these held-out speakers of loso")
    what.add_argument(
        "--limit",
        type=positive_int,
        metavar="N",
        help="only N test clips per protocol, spread over speakers and digits; the tables say so",
    )
    what.add_argument(
        "--allow-leak",
        action="store_true",
        help="measure checkpoints that were trained on test clips; their entries are marked LEAK",
    )
    what.add_argument(
        "--allow-fixture",
        action="store_true",
        help="measure stand-in weights; every table and picture is watermarked",
    )
    how = parser.add_argument_group("how to measure")
    how.add_argument("--seed", type=natural_number, default=0, help="of splits and rounds (default: 0)")
    how.add_argument("--threads", type=positive_int, default=1, help="CPU threads per backend (default: 1)")
    how.add_argument(
        "--rounds",
        type=positive_int,
        help="interleaved latency rounds; p95 needs 72, p99 needs 368 (default: the suite's)",
    )
    how.add_argument(
        "--budget",
        type=duration,
        metavar="TIME",
        help="stay within 20m, 90s or 2h: conditions are left out first, then rounds, never clips",
    )
    where = parser.add_argument_group("where to")
    where.add_argument(
        "--out", type=path_argument, metavar="DIR", help="folder to write (default: results/<run>)"
    )
    where.add_argument("--plan", action="store_true", help="print what would be measured and how long")
    again = where.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="measure what the run in --out lacks")
    again.add_argument("--fresh", action="store_true", help="replace the run in --out")
    return parser


def duration(text: str) -> float:
    """An argparse type: "90s", "20m" or "2h" in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 20m or 2h")
    return float(match[1]) * _SECONDS[match[2]]
