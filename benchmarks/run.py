"""Entry point: ``python -m benchmarks.run`` measures backends on one test split and prints a table."""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from benchmarks.clip_store import StoredClip, store_clips
from benchmarks.environment import describe_environment, load_average
from benchmarks.measurement import STATUS_FAILED, STATUS_OK, Measurement, Outcome
from benchmarks.protocol import (
    Candidate,
    Settings,
    choose_checkpoints,
    refuse_leaks,
    stratified_subset,
)
from benchmarks.records import (
    ENVIRONMENT_FILE,
    LATENCY_FILE,
    PREDICTIONS_FILE,
    RECORD_VERSION,
    RUN_FILE,
    Record,
    partial_path,
    publish,
    read_document,
    read_records,
    record_writer,
    write_json,
)
from benchmarks.report import print_report, write_report
from finetune.corpus import DATA_VARIABLE, DATASET_HELP, Corpus, load_corpus
from finetune.corpus.splits import PROTOCOLS, Split, make_split
from finetune.split_card import read_split_card
from inference.backends import BACKENDS
from inference.checkpoint import read_json
from inference.cli import EXIT_INTERRUPTED, EXIT_OK, positive_int, reports_user_errors
from inference.errors import CheckpointError, UserError
from inference.transcripts import MAPPING_VERSION

#: Marks toy and random weights, so that no figure of theirs is taken for a result.
FIXTURE_NAME = "fixture.json"
EXIT_BACKEND_FAILED = 3
EXIT_NOTHING_MEASURED = 4


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Measures accuracy, latency, size and memory of every backend on one test split.",
        epilog="Exit codes: 0 all measured or unavailable, 2 usage, 3 a backend failed, "
        "4 nothing was measured, 130 interrupted.",
    )
    parser.add_argument(
        "--backends",
        nargs="+",
        choices=list(BACKENDS),
        default=list(BACKENDS),
        metavar="NAME",
        help=f"of {', '.join(BACKENDS)}; the first one is the reference of the ratios (default: all)",
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="measure a backend with this folder, Hub id or model size; may be given once per backend",
    )
    parser.add_argument("--dataset", default="auto", help=f"{DATASET_HELP} (default: auto)")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="official", help="split (default: official)")
    parser.add_argument("--fold", metavar="SPEAKER", help="the held-out speaker of the protocol loso")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the rounds (default: 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write (default: results/<run>)")
    parser.add_argument(
        "--threads", type=positive_int, default=1, help="CPU threads per backend (default: 1)"
    )
    parser.add_argument(
        "--rounds",
        type=positive_int,
        default=Settings.rounds,
        help=f"interleaved latency rounds; p95 needs 72, p99 needs 368 (default: {Settings.rounds})",
    )
    parser.add_argument(
        "--limit",
        type=positive_int,
        metavar="N",
        help="measure only N test clips, spread over speakers and digits; the tables say so",
    )
    parser.add_argument(
        "--allow-leak",
        action="store_true",
        help="measure checkpoints that were trained on test clips; their rows are marked LEAK",
    )
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark; see the parser's epilog for the exit codes."""
    args = build_parser().parse_args(argv)
    settings = Settings(seed=args.seed, threads=args.threads, rounds=args.rounds)
    checkpoints = choose_checkpoints(args.backends, args.checkpoint)
    corpus = load_corpus(args.dataset)
    split = make_split(corpus.clips, args.protocol, args.seed, args.fold)
    candidates = [find_candidate(name, path, corpus, split) for name, path in checkpoints.items()]
    if not args.allow_leak:
        refuse_leaks(candidates)
    clips = stratified_subset(split.test, args.limit) if args.limit else list(split.test)

    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{corpus.name.replace('/', '-')}-{split.protocol}"
    folder = args.out or Path("results") / run_id
    sys.stderr.write(f"{corpus.description}; {split.caption}; {len(clips)} test clips\n")
    header: Record = {
        "v": RECORD_VERSION,
        "run": run_id,
        "command": reproduce_command(sys.argv[1:] if argv is None else argv, args.dataset),
        "dataset": corpus.name,
        "dataset_description": corpus.description,
        "protocol": split.protocol,
        "fold": split.fold,
        "split_caption": split.caption,
        "fingerprint": split.fingerprint,
        "test_clips": len(split.test),
        "measured_clips": len(clips),
        "settings": asdict(settings),
        "mapping_version": MAPPING_VERSION,
    }
    outcomes = [Outcome.pending(candidate) for candidate in candidates]
    with tempfile.TemporaryDirectory(prefix="spoken-digits-") as scratch:
        clips_path = Path(scratch) / "clips.f32"
        # Decoded first: a clip that cannot be decoded leaves no empty result folder behind.
        stored = store_clips(tqdm(clips, unit="clip", leave=False, disable=None), clips_path)
        prepare_folder(folder)
        complete = measure(candidates, outcomes, stored, clips_path, settings, folder, header)
    return exit_code(outcomes) if complete else EXIT_INTERRUPTED


def find_candidate(name: str, checkpoint: str, corpus: Corpus, split: Split) -> Candidate:
    """A backend with its checkpoint and what lies beside the weights: split card and fixture note."""
    card = read_split_card(Path(checkpoint))
    leaked = None if card is None else len(card.leaked(corpus, split.test))
    note = Path(checkpoint) / FIXTURE_NAME
    fixture = read_fixture_note(note) if note.is_file() else None
    trained_on = None if card is None else card.corpus
    return Candidate(BACKENDS[name], checkpoint, leaked, trained_on, fixture)


def read_fixture_note(path: Path) -> str:
    """What the weights beside a fixture note stand in for, as one line.

    Raises:
        CheckpointError: If the note does not say so.
    """
    note = read_json(path)
    text = note.get("fixture") if isinstance(note, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise CheckpointError(f'{path} has no text under "fixture"; say there what the weights stand in for.')
    return " ".join(text.split())


def prepare_folder(folder: Path) -> None:
    """Makes the result folder; one that holds something else than an earlier run is left alone.

    Raises:
        UserError: If it is not free for results or cannot be written.
    """
    try:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if names and not names & {RUN_FILE, partial_path(folder / PREDICTIONS_FILE).name}:
            raise UserError(f"--out {folder} holds other files; name a new folder or one of an earlier run.")
        folder.mkdir(parents=True, exist_ok=True)
        # Only writing tells whether one may write: a file system can be read-only for everybody.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
    except OSError as error:
        raise UserError(
            f"--out {folder} cannot be made or written: {error.strerror}; name another folder."
        ) from error


def reproduce_command(arguments: Sequence[str], dataset: str) -> str:
    """What to type to get the same run; the folder of recordings is the reader's own."""
    command = shlex.join(["python", "-m", "benchmarks.run", *arguments])
    uses_folder = dataset == "auto" and DATA_VARIABLE in os.environ
    return f"{DATA_VARIABLE}=<folder of recordings> {command}" if uses_folder else command


def measure(
    candidates: Sequence[Candidate],
    outcomes: Sequence[Outcome],
    clips: Sequence[StoredClip],
    clips_path: Path,
    settings: Settings,
    folder: Path,
    header: Record,
) -> bool:
    """Measures, writes the records and the report of a run, and prints its table.

    A run in which no backend was measured to its end does not replace an earlier one that was.

    Args:
        candidates: The backends.
        outcomes: One per candidate, filled here.
        clips: The decoded clips to measure on.
        clips_path: Their samples.
        settings: How often and how patiently.
        folder: Where the records go.
        header: What ``run.json`` says besides the outcomes.

    Returns:
        False if Ctrl-C ended it; what was measured until then is written.
    """
    environment = describe_environment(settings.threads)
    environment["load_average_before"] = load_average()
    complete = True
    with ExitStack() as files:
        write_prediction = files.enter_context(record_writer(folder / PREDICTIONS_FILE))
        write_latency = files.enter_context(record_writer(folder / LATENCY_FILE))
        measurement = Measurement(
            candidates=candidates,
            outcomes=outcomes,
            clips=clips,
            clips_path=clips_path,
            settings=settings,
            write_prediction=_with_run(header, write_prediction),
            write_latency=_with_run(header, write_latency),
        )
        try:
            measurement.run()
        except KeyboardInterrupt:
            complete = False
    environment["load_average_after"] = load_average()
    run = {**header, "complete": complete, "backends": [asdict(outcome) for outcome in outcomes]}
    if not holds_figures(run) and holds_earlier_figures(folder):
        _report_unpublished(run, folder)
        return complete
    publish(folder / PREDICTIONS_FILE)
    publish(folder / LATENCY_FILE)
    write_json(folder / ENVIRONMENT_FILE, environment)
    write_json(folder / RUN_FILE, run)
    if not complete:
        sys.stderr.write(f"interrupted; what was measured is kept in {folder}\n")
    print_report(write_report(folder), folder)
    return complete


def holds_figures(run: Record) -> bool:
    """Whether a backend was measured to its end in the run of a ``run.json``."""
    return any(outcome["status"] == STATUS_OK for outcome in run["backends"])


def holds_earlier_figures(folder: Path) -> bool:
    """Whether a folder holds a run in which a backend was measured to its end, or may hold one."""
    if not (folder / RUN_FILE).is_file():
        return False
    try:
        return holds_figures(read_document(folder / RUN_FILE, ["backends"]))
    except UserError:  # Such as that of another record version: what cannot be judged is kept.
        return True


def _report_unpublished(run: Record, folder: Path) -> None:
    """Prints why nothing was measured and leaves the earlier run of the folder as it is."""
    from benchmarks.summary import summarise  # Takes seconds that --help does not need.

    partial = [partial_path(folder / name) for name in (PREDICTIONS_FILE, LATENCY_FILE)]
    print_report(summarise(run, *map(read_records, partial)), folder=None)
    sys.stderr.write(
        f"{'nothing was measured' if run['complete'] else 'interrupted'}; "
        f"the earlier run in {folder} is left as it was, the records of this one lie beside it: "
        f"{', '.join(path.name for path in partial)}\n"
    )


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """The exit code of a run that was not interrupted."""
    statuses = {outcome.status for outcome in outcomes}
    if STATUS_OK not in statuses:
        return EXIT_NOTHING_MEASURED
    return EXIT_BACKEND_FAILED if STATUS_FAILED in statuses else EXIT_OK


def _with_run(header: Record, write: Callable[[Record], None]) -> Callable[[Record], None]:
    shared = {key: header[key] for key in ("run", "protocol", "fold")} | {"seed": header["settings"]["seed"]}
    return lambda record: write({**shared, **record})


if __name__ == "__main__":
    raise SystemExit(main())
