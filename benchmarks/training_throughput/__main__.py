"""Clips per second of fine-tuning: this project's defaults against the usual example's.

    python -m benchmarks.training_throughput --dataset FOLDER --out results/training-throughput

All train the architecture of ``facebook/wav2vec2-base`` from the same random weights, each in a process
of its own, on the same clips, in turns: a segment is one epoch over the same clips by each contender, so
that all meet the same machine. The ratio is that of paired segments. Other work on the machine slows
several threads that wait for each other far more than it takes: segments that met some are counted.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.records.checked import to_json
from benchmarks.records.run_record import Environment
from benchmarks.text_table import markdown_grid
from finetune.corpus.loading import DATASET_HELP
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    path_argument,
    positive_int,
    reports_user_errors,
)
from inference.files import write_text

ORDER_SEED = 0


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m benchmarks.training_throughput", description="Clips per second of fine-tuning."
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    parser.add_argument("--threads", type=positive_int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--segments", type=positive_int, default=5, help="timed turns (default: 5)")
    parser.add_argument("--clips", type=positive_int, default=128, help="clips of a turn (default: 128)")
    parser.add_argument(
        "--out", type=path_argument, default=Path("results/training-throughput"), help="result folder"
    )
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    # Imported here: --help must not wait for torch.
    from benchmarks.measure.contention import Counters, is_contended
    from benchmarks.measure.environment import describe_environment, load_of_machine
    from benchmarks.training_throughput.contenders import CONTENDERS, Contender
    from finetune.corpus.loading import load_corpus
    from finetune.corpus.splits import make_split
    from finetune.training.waveform_cache import WaveformCache

    # The contenders run as a user starts them: without the variables of a worker.
    environment = replace(
        describe_environment(options.threads), thread_variables=None, load_before=load_of_machine()
    )
    corpus = load_corpus(options.dataset)
    order = list(range(len(make_split(corpus.clips).train)))
    random.Random(ORDER_SEED).shuffle(order)
    started = time.perf_counter()
    WaveformCache(corpus.clips)
    facts: dict[str, Any] = {"first_decoding_s": time.perf_counter() - started}
    contenders = {name: Contender(name, options.dataset, options.threads) for name in CONTENDERS}
    records: list[dict[str, Any]] = []
    for segment in range(-1, options.segments):  # the first turn warms up and is not kept
        first = (segment + 1) * options.clips
        rows = [order[row % len(order)] for row in range(first, first + options.clips)]
        turn = list(contenders.items())
        for name, contender in turn if segment % 2 else reversed(turn):
            before = Counters.now()
            record = contender.train(rows)
            lost = Counters.now().since(before)
            if segment >= 0:
                names = {"contender": name, "segment": segment, "clips": options.clips}
                contention = {"contended": is_contended(lost), "contention": to_json(lost)}
                records.append(names | record | contention)
                sys.stderr.write(f"{segment} {name}: {options.clips / record['seconds']:.2f} clips/s\n")
        if segment >= 0:  # after each turn, so that a run that is cut short has its result
            _write(options.out, records, environment, facts, corpus.description)
    facts["validation_loss"] = {name: contender.finish() for name, contender in contenders.items()}
    _write(options.out, records, environment, facts, corpus.description)
    sys.stdout.write((options.out / "summary.md").read_text(encoding="utf-8"))
    return EXIT_OK


def _write(
    folder: Path,
    records: list[dict[str, Any]],
    environment: Environment,
    facts: dict[str, Any],
    description: str,
) -> None:
    write_text(folder / "segments.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    write_text(folder / "environment.json", json.dumps({**to_json(environment), **facts}, indent=2) + "\n")
    write_text(folder / "summary.md", summary(records, description, environment, facts))


def summary(
    records: list[dict[str, Any]], description: str, environment: Environment, facts: dict[str, Any]
) -> str:
    """The table: clips per second, ratio to the usual example with its interval, losses.

    Args:
        records: One per timed segment.
        facts: ``first_decoding_s`` and, at the end, ``validation_loss`` by contender.
    """
    import numpy as np
    from scipy import stats

    from benchmarks.measure.environment import environment_line
    from benchmarks.training_throughput.contenders import CONTENDERS, PLAIN

    by_contender = {
        name: [record for record in records if record["contender"] == name] for name in CONTENDERS
    }
    seconds = {name: np.array([record["seconds"] for record in own]) for name, own in by_contender.items()}
    rows = []
    for name, own in by_contender.items():
        rate = sum(record["clips"] for record in own) / seconds[name].sum()
        logs = np.log(seconds[PLAIN] / seconds[name])
        ratio = "1"
        if name != PLAIN and len(logs) > 1:
            low, high = stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs))
            ratio = f"{np.exp(logs.mean()):.2f} [{np.exp(low):.2f}, {np.exp(high):.2f}]"
        validation = facts.get("validation_loss", {}).get(name)
        loss, validated = f"{own[-1]['loss']:.3f}", "-" if validation is None else f"{validation:.3f}"
        rows.append((name, f"{rate:.2f}", ratio, loss, validated))
    heads = ("contender", "clips/s", "ratio [95 % interval]", "training loss", "validation loss")
    table = "\n".join(markdown_grid(heads, rows))
    contended = sum(record["contended"] for record in records)
    return f"""# Training throughput

{table}

Architecture of facebook/wav2vec2-base from random weights, {environment.threads_per_backend} threads; \
{len(seconds[PLAIN])} interleaved segments of {records[0]["clips"]} clips each,
every segment the same clips for all; {description}.
The ratio is the geometric mean over paired segments with its t interval; other work took the processor
during {contended} of {len(records)} segments, which slows the contenders unequally.
The training loss is that of the last segment: contenders take steps of different size (batches of 8 and
of 32), and augmentation makes clips longer and harder; the row without it does the same work as the
usual example. The validation loss is that of the models in the end, on the same clips as they are.
Decoding all clips once took {facts["first_decoding_s"]:.1f} s before (none where the cache had them).

{environment_line(environment)}
"""


if __name__ == "__main__":
    sys.exit(main())
