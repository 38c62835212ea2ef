"""Entry point: ``python -m benchmarks.run`` measures backends on the same clips and prints a table."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.run.arguments import parse_request
from benchmarks.run.benchmark import Benchmark
from benchmarks.run.checkpoints import BaselineFitter
from benchmarks.run.entries import choose_entries, refuse_fixtures
from benchmarks.run.inputs import Inputs
from benchmarks.run.preparation import prepare_inputs
from benchmarks.run.processes import Processes, find_processes
from benchmarks.run.progress import say
from benchmarks.run.protocol import EXTERNAL, FLITE, make_test_set
from benchmarks.run.request import Request
from benchmarks.run.run_files import open_folder, reproduce_command
from finetune.corpus.clip import Corpus
from finetune.corpus.loading import load_corpus, use_labels_of
from inference.command_line import reports_user_errors


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see the parser's epilog for the exit codes."""
    started = time.monotonic()
    request = parse_request(argv)
    processes = find_processes()
    words = list(sys.argv[1:] if argv is None else argv)
    with tempfile.TemporaryDirectory(prefix="spoken-digits-") as scratch, _terminable():
        inputs = _prepare(request, Path(scratch), processes)
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{inputs.test_sets[0].corpus.name.replace('/', '-')}"
        folder = processes.broadcast(request.out or Path("results") / run_id)
        earlier = None
        if processes.is_main_process and not request.plan_only:
            earlier = open_folder(folder, request)
        identity = {"run": run_id, "command": reproduce_command(words, request.dataset)}
        if earlier is not None:
            identity["run"] = earlier.run
        benchmark = Benchmark(request, processes, inputs, folder, identity, started)
        return benchmark.show_plan() if request.plan_only else benchmark.measure(earlier)


def _prepare(request: Request, scratch: Path, processes: Processes) -> Inputs:
    """Entries, clips and checkpoints; the first process fits what must be fitted before the others look."""
    use_labels_of(request.dataset)
    entries = choose_entries(request.backends, request.checkpoints)
    # A damaged note is refused here as well, before anything is done.
    refuse_fixtures([entry.name for entry in entries if entry.fixture], request.allow_fixture)
    corpus = _load_corpus(request)
    test_sets = [
        make_test_set(
            protocol, corpus, request.settings.seed, request.speakers, request.limit, request.other_words
        )
        for protocol in request.protocols
    ]
    for test_set in test_sets if processes.is_main_process else ():
        say(f"{test_set.corpus.description}; {test_set.caption}; {len(test_set.clips)} test clips")
    if not processes.is_main_process:
        processes.wait_for_everyone()
    made = corpus.name in (FLITE, "synthetic")
    fitter = BaselineFitter(corpus.name if made else request.dataset, request.settings.seed)
    # A plan fits nothing.
    fit = fitter.folder if request.plan_only else fitter
    inputs = prepare_inputs(entries, test_sets, scratch, fit, request.allow_leak)
    if processes.is_main_process:
        processes.wait_for_everyone()
    return inputs


def _load_corpus(request: Request) -> Corpus:
    """What the protocols split; where there are no recordings, voices that no shipped model has heard."""
    if all(protocol.startswith(EXTERNAL) for protocol in request.protocols):
        return load_corpus(request.protocols[0].removeprefix(EXTERNAL))
    others = shutil.which(FLITE) is not None
    corpus = load_corpus(request.dataset, otherwise=FLITE if others else "synthetic")
    if corpus.name == "synthetic" and not others:
        say(
            "the shipped models have learned from voices of espeak-ng: these figures say little. With flite "
            "there are voices that none has heard, and other words: sudo apt-get install flite"
        )
    return corpus


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
