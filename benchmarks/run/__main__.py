"""Entry point: ``python -m benchmarks.run`` measures backends on the same clips and prints a table."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.reports.reader import refuse_fixtures
from benchmarks.run.arguments import Request, parse_request
from benchmarks.run.baseline_folds import BaselineFitter
from benchmarks.run.benchmark import Campaign
from benchmarks.run.entries import choose_rows
from benchmarks.run.inputs import Materials, gather, say
from benchmarks.run.processes import Crew, find_crew
from benchmarks.run.protocol import EXTERNAL, make_evaluation
from benchmarks.run.run_files import open_folder, reproduce_command
from finetune.corpus.loading import load_corpus
from inference.command_line import reports_user_errors


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see the parser's epilog for the exit codes."""
    started = time.monotonic()
    request = parse_request(argv)
    crew = find_crew()
    words = list(sys.argv[1:] if argv is None else argv)
    with tempfile.TemporaryDirectory(prefix="spoken-digits-") as scratch, _terminable():
        materials = _gather(request, Path(scratch), crew)
        run_id = (
            f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{materials.evaluations[0].corpus.name.replace('/', '-')}"
        )
        folder = crew.agree(request.out or Path("results") / run_id)
        earlier = None
        if crew.leads and not request.plan_only:
            earlier = open_folder(folder, request)
        identity = {"run": run_id, "command": reproduce_command(words, request.dataset)}
        if earlier is not None:
            identity["run"] = earlier["run"]
        campaign = Campaign(request, crew, materials, folder, identity, started)
        return campaign.show_plan() if request.plan_only else campaign.measure(earlier)


def _gather(request: Request, scratch: Path, crew: Crew) -> Materials:
    """Rows, clips and checkpoints; the first process fits what must be fitted before the others look."""
    rows = choose_rows(request.backends, request.checkpoints)
    # A damaged note is refused here as well, before anything is done.
    refuse_fixtures([row.name for row in rows if row.fixture], request.allow_fixture)
    needs_corpus = any(not protocol.startswith(EXTERNAL) for protocol in request.protocols)
    corpus = load_corpus(request.dataset if needs_corpus else request.protocols[0].removeprefix(EXTERNAL))
    evaluations = [
        make_evaluation(protocol, corpus, request.settings.seed, request.speakers, request.limit)
        for protocol in request.protocols
    ]
    for evaluation in evaluations if crew.leads else ():
        say(f"{evaluation.corpus.description}; {evaluation.caption}; {len(evaluation.clips)} test clips")
    if not crew.leads:
        crew.wait()
    fitter = BaselineFitter(request.dataset, request.settings.seed)
    # A plan fits nothing.
    fit = fitter.folder if request.plan_only else fitter
    materials = gather(rows, evaluations, scratch, fit, request.allow_leak)
    if crew.leads:
        crew.wait()
    return materials


@contextmanager
def _terminable() -> Iterator[None]:
    """A polite request to end (SIGTERM) is answered like Ctrl-C: what was measured is written."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


if __name__ == "__main__":
    raise SystemExit(main())
