"""Entry point: ``python -m benchmarks.against_libraries`` measures backends against plain library calls.

Rows are printed and kept as they come: started again with the same ``--out``, it goes on with those missing.
Exit code: 0 if every comparison was made, 1 if some could not be, 2 after a mistake of usage.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.against_libraries.comparisons import BATCH_SIZE, COMPARISONS, Comparison
from benchmarks.records.checked import from_json, to_json
from benchmarks.run.entries import choose_entries
from inference.backends.table import BACKENDS
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    path_argument,
    positive_float,
    positive_int,
    reports_user_errors,
)
from inference.errors import UserError
from inference.files import write_text

if TYPE_CHECKING:
    from benchmarks.against_libraries.measure import Result
    from finetune.corpus.clip import Clip

EXIT_SOME_FAILED = 1
#: Minutes for all comparisons together.
BUDGET = 15.0
SUMMARY = "summary"
START_UP_BACKEND, START_UPS = "mfcc", 5
_NAMES = tuple(dict.fromkeys(comparison.backend for comparison in COMPARISONS))


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandLineParser(
        prog="python -m benchmarks.against_libraries",
        description="Times each backend in turns with the plain library call on the same weights and clips, "
        "and prints how many times faster it is, whether the answers agree, and the memory of both.",
    )
    parser.add_argument("--backends", nargs="+", choices=_NAMES, default=_NAMES, help="default: all")
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="weights for both sides (default: those of the backend, for wav2vec2 also random ones of its "
        "public size)",
    )
    parser.add_argument("--dataset", default="auto", help="where the clips come from (default: auto)")
    parser.add_argument(
        "--budget",
        type=positive_float,
        default=BUDGET,
        metavar="MINUTES",
        help="fit calls and clips to this time in all (default: %(default)g; --growth adds to it)",
    )
    parser.add_argument(
        "--threads", type=positive_int, default=1, help="CPU threads of each side (default: 1)"
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help="measure how our cost grows with length and batch, beside what the machine could do",
    )
    parser.add_argument(
        "--out",
        type=path_argument,
        metavar="DIR",
        help=f"write {SUMMARY}.json and .md and the picture there, and go on with what is missing",
    )
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the comparisons; see the module for the exit codes."""
    args = build_parser().parse_args(argv)
    checkpoints = _chosen_checkpoints(args.checkpoint, args.backends)
    # Takes seconds that --help does not need.
    from benchmarks.against_libraries.table import precision_lines, table_lines
    from benchmarks.measure.environment import describe_environment, environment_line

    environment = describe_environment(args.threads)
    description, clips = _test_clips(args.dataset)
    chosen = [comparison for comparison in COMPARISONS if comparison.backend in args.backends]
    document: dict[str, Any] = {"clips": description, "environment": to_json(environment)}

    def keep(results: "Sequence[Result]") -> None:
        if args.out:
            document["comparisons"] = [to_json(result) for result in results]
            write_text(args.out / f"{SUMMARY}.json", json.dumps(document, indent=1) + "\n")

    done = _read_done(args.out / f"{SUMMARY}.json", document) if args.out else []
    results, failures = _compare_all(chosen, checkpoints, clips, args, done, keep)
    start_ups = [time_start_up(clips[0]) for _ in range(START_UPS)]
    start_up = (
        f"python -m inference.predict with {START_UP_BACKEND}, from a new process to the answer and its end: "
        f"{statistics.median(start_ups):.2f} s (median of {START_UPS})."
    )
    lines = [*table_lines(results, failures), "", start_up, "", description, environment_line(environment)]
    precisions = _precisions(chosen, checkpoints)
    if precisions:
        lines += ["", *precision_lines(precisions)]
    document |= {"failures": failures, "start_up_s": {START_UP_BACKEND: start_ups}, "precisions": precisions}
    if args.growth:
        from benchmarks.against_libraries.growth import growth_lines, measure_growth, plot_growth

        made = dict.fromkeys(result.comparison for result in results)
        pairs = [(comparison, resolve_checkpoint(comparison, checkpoints)[0]) for comparison in made]
        growth = measure_growth(pairs, clips[0].waveform(), args.threads)
        document["growth"] = growth
        lines += ["", *growth_lines(growth)]
        if args.out:
            plot_growth(growth, args.out)
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if args.out:
        keep(results)
        write_text(args.out / f"{SUMMARY}.md", text)
        sys.stderr.write(f"written: {args.out}\n")
    return EXIT_SOME_FAILED if failures else EXIT_OK


def time_start_up(clip: "Clip") -> float:
    """Seconds of ``python -m inference.predict`` on one clip, from the call to its end.

    Raises:
        UserError: If the command fails.
    """
    source: Any = clip.read()
    with tempfile.TemporaryDirectory(prefix="spoken-digits-") as scratch:
        path = Path(scratch) / "clip"
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            path = Path(source)
        command = [sys.executable, "-m", "inference.predict", "--backend", START_UP_BACKEND, str(path)]
        start = time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        raise UserError(f"{' '.join(command[1:])} failed: {done.stderr.strip()}")
    return seconds


def _precisions(comparisons: Sequence[Comparison], checkpoints: dict[str, str]) -> list[list[str]]:
    """What ``auto`` tried for each checkpoint with weights of torch."""
    from benchmarks.against_libraries.table import precision_rows
    from inference.backends.encoder.backend import settle_runtime
    from inference.backends.encoder.checkpoint import read_encoder_checkpoint
    from inference.backends.encoder.trial import read_selection

    rows: list[list[str]] = []
    seen = set()
    for comparison in comparisons:
        if "runtime" not in BACKENDS[comparison.backend].options:
            continue
        folder, stand_in = resolve_checkpoint(comparison, checkpoints)
        found = read_encoder_checkpoint(Path(folder))
        if folder in seen or found.exported:
            continue
        seen.add(folder)
        choice, place = settle_runtime(found, "auto", "auto")
        if choice.runtime != "torch":
            rows += precision_rows(comparison.backend + "*" * stand_in, *read_selection(place))
    return rows


def _read_done(path: Path, document: dict[str, Any]) -> "list[Result]":
    """What an earlier call measured on the same clips and machine, with as many threads."""
    from benchmarks.against_libraries.measure import Result

    if not path.is_file():
        return []
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        same = all(
            earlier["environment"].get(name) == document["environment"][name]
            for name in ("hw", "sw", "threads_per_backend")
        )
        if not same or earlier["clips"] != document["clips"]:
            raise ValueError("it is of other clips, threads, software or of another machine")
        return [from_json(Result, json.dumps(record)) for record in earlier["comparisons"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be gone on with ({error}): choose another --out, or remove it."
        ) from error


def _chosen_checkpoints(assignments: Sequence[str], backends: Sequence[str]) -> dict[str, str]:
    """Backend -> folder as typed.

    Raises:
        UserError: If an assignment is malformed or names a backend that is not compared.
    """
    entries = choose_entries(backends, assignments)
    chosen = {entry.name: entry.checkpoint for entry in entries if not entry.is_default}
    for name, folder in chosen.items():
        if not Path(folder).is_dir():
            raise UserError(f"--checkpoint {name}={folder}: {folder} is no folder; both sides must load it.")
    return chosen


def _test_clips(dataset: str) -> "tuple[str, Sequence[Clip]]":
    """What the clips are, and the official test clips of the corpus."""
    from finetune.corpus.loading import load_corpus
    from finetune.corpus.splits import make_split

    corpus = load_corpus(dataset)
    test = make_split(corpus.clips, "official", 0).test
    return f"{corpus.description}; {len(test)} clips of the official test", test


def _compare_all(
    comparisons: Sequence[Comparison],
    checkpoints: dict[str, str],
    clips: "Sequence[Clip]",
    args: argparse.Namespace,
    done: "Sequence[Result]",
    keep: "Callable[[Sequence[Result]], None]",
) -> "tuple[list[Result], list[str]]":
    """The results, each kept and told as it comes, and a sentence for each that could not be made."""
    from benchmarks.against_libraries.measure import CLIP_SECONDS, checkpoint_name, compare, fit_length
    from benchmarks.against_libraries.table import sentence
    from benchmarks.run.subset import stratified_subset
    from benchmarks.worker.client import BackendFailure, BackendUnavailable
    from benchmarks.worker.waveform_file import StoreWriter, store_clips

    results: list[Result] = []
    failures = []
    deadline = time.monotonic() + 60.0 * args.budget
    with tempfile.TemporaryDirectory(prefix="spoken-digits-") as scratch:
        whole = store_clips(clips, Path(scratch) / "whole.f32")
        drawn = stratified_subset(clips, 4 * BATCH_SIZE)
        with StoreWriter(Path(scratch) / "single.f32") as store:
            single = [
                store.add(fit_length(clip.waveform(), CLIP_SECONDS), clip.clip_id, clip.label, clip.speaker)
                for clip in drawn
            ]
        for number, comparison in enumerate(comparisons):
            try:
                checkpoint, stand_in = resolve_checkpoint(comparison, checkpoints)
                name = checkpoint_name(checkpoint)
                earlier = [one for one in done if (one.comparison, one.checkpoint) == (comparison, name)]
                if earlier:
                    results.append(earlier[0])
                    continue
                result = compare(
                    comparison,
                    checkpoint,
                    stand_in=stand_in,
                    clips=single if comparison.batch_size == 1 else whole,
                    # What random weights answer means nothing.
                    others=() if stand_in else whole,
                    budget_s=max(deadline - time.monotonic(), 0.0) / (len(comparisons) - number),
                    threads=args.threads,
                )
            except (BackendFailure, BackendUnavailable, UserError) as error:
                hint = (
                    " Install it: pip install 'spoken-digits[against-libraries]'"
                    if "librosa" in str(error)
                    else ""
                )
                failures.append(f"{comparison.variant}: {error}{hint}")
                print(failures[-1], flush=True)
                continue
            results.append(result)
            keep([*results, *(one for one in done if one not in results)])
            print(sentence(result), flush=True)
    return results, failures


def resolve_checkpoint(comparison: Comparison, checkpoints: dict[str, str]) -> tuple[str, bool]:
    """What both sides load, and whether it is a stand-in: as typed, what is shipped, or public weights.

    Raises:
        UserError: If the public weights are not here and cannot be fetched.
    """
    if comparison.backend in checkpoints:
        return checkpoints[comparison.backend], False
    if comparison.stand_in is not None:
        from benchmarks.against_libraries.stand_in import stand_in

        return str(stand_in()), True
    checkpoint = BACKENDS[comparison.backend].default_checkpoint
    if comparison.backend == "whisper":
        from inference.backends.whisper.folder import find_folder

        checkpoint = str(find_folder(checkpoint))
    return checkpoint, False


if __name__ == "__main__":
    raise SystemExit(main())
