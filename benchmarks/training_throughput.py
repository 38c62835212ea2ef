"""Clips per second of fine-tuning: this project's defaults against the usual example's.

    python -m benchmarks.training_throughput --dataset FOLDER --out results/training-throughput

Both train the architecture of ``facebook/wav2vec2-base`` from the same random weights, on the same
clips, in turns: each segment is one epoch over the same clips by each contender, so that all meet
the same machine. The ratio is that of paired segments. All share one process, and with it the memory
that ours asks the C library to keep.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.corpus import DATASET_HELP
from inference.cli import EXIT_OK, positive_int, reports_user_errors

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer, Wav2Vec2FeatureExtractor

    from finetune.corpus import Clip
    from finetune.waveform_cache import WaveformCache

CONFIG = Path(__file__).resolve().parents[1] / "finetune" / "configs" / "wav2vec2-base.yaml"
#: ``facebook/wav2vec2-base`` has the library's default values throughout.
ARCHITECTURE = {"model_type": "wav2vec2"}
PLAIN, DEFAULTS, UNVARIED = "usual example", "defaults", "defaults, --augment false"
CONTENDERS = (PLAIN, DEFAULTS, UNVARIED)
SEED = 0


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_throughput", description="Clips per second of fine-tuning."
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    parser.add_argument("--threads", type=positive_int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--segments", type=positive_int, default=5, help="timed turns (default: 5)")
    parser.add_argument("--clips", type=positive_int, default=64, help="clips of a turn (default: 64)")
    parser.add_argument("--out", type=Path, default=Path("results/training-throughput"), help="result folder")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    # Imported here: --help must not wait for torch.
    import torch
    from transformers import set_seed
    from transformers.utils.logging import set_verbosity_error

    from benchmarks.environment import describe_environment, load_average
    from finetune.corpus import load_corpus
    from finetune.corpus.splits import make_split
    from finetune.waveform_cache import WaveformCache

    torch.set_num_threads(options.threads)
    set_verbosity_error()
    environment = describe_environment(options.threads) | {"load_average_before": load_average()}
    corpus = load_corpus(options.dataset)
    train = make_split(corpus.clips).train
    set_seed(SEED)
    order = torch.randperm(len(train)).tolist()
    started = time.perf_counter()
    waveforms = WaveformCache(corpus.clips)
    environment["first_decoding_s"] = time.perf_counter() - started
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        contenders = _contenders(Path(scratch), waveforms)
        for segment in range(-1, options.segments):  # the first turn warms up and is not kept
            first = (segment + 1) * options.clips
            rows = [order[row % len(order)] for row in range(first, first + options.clips)]
            turn = list(contenders.items())
            for name, trainer_for in turn if segment % 2 else reversed(turn):
                output = trainer_for([train[row] for row in rows]).train()
                if segment >= 0:
                    seconds = output.metrics["train_runtime"]
                    record = {"contender": name, "segment": segment, "clips": options.clips}
                    records.append(record | {"seconds": seconds, "loss": output.training_loss})
                    sys.stderr.write(f"{segment} {name}: {options.clips / seconds:.2f} clips/s\n")
            if segment >= 0:  # after each turn, so that a run that is cut short has its result
                _write(options.out, records, environment, corpus.description)
    sys.stdout.write((options.out / "summary.md").read_text(encoding="utf-8"))
    return EXIT_OK


def _write(
    folder: Path, records: list[dict[str, Any]], environment: dict[str, Any], description: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "segments.jsonl").write_text(lines, encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")
    (folder / "summary.md").write_text(summary(records, description, environment), encoding="utf-8")


def summary(records: list[dict[str, Any]], description: str, environment: dict[str, Any]) -> str:
    """The table: clips per second, ratio to the usual example with its interval, last loss."""
    import numpy as np
    from scipy import stats

    from benchmarks.environment import environment_line

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
        rows.append(f"| {name} | {rate:.2f} | {ratio} | {own[-1]['loss']:.3f} |")
    table = "\n".join(
        ["| contender | clips/s | ratio [95 % interval] | last loss |", "|---|---|---|---|", *rows]
    )
    num_segments = len(seconds[PLAIN])
    return f"""# Training throughput

{table}

Architecture of facebook/wav2vec2-base from random weights; {num_segments} interleaved segments of
{records[0]["clips"]} clips each, every segment the same clips for all; {description}.
The ratio is the geometric mean over paired segments with its t interval. The loss is the mean of the
last segment: contenders take steps of different size (batches of 8 and of 32), and augmentation makes
clips longer and harder: the row without it does the same work as the usual example.
Decoding all clips once took {environment["first_decoding_s"]:.1f} s before (none where the cache had them).

{environment_line(environment)}
"""


def _contenders(scratch: Path, waveforms: "WaveformCache") -> "dict[str, Callable[[list[Clip]], Trainer]]":
    """Name -> what makes the Trainer of the next segment; each keeps one model throughout."""
    from transformers import set_seed

    from benchmarks.plain_recipe import plain_trainer
    from finetune.clip_dataset import ClipDataset
    from finetune.clip_trainer import ClipTrainer
    from finetune.collator import WaveformCollator
    from finetune.command_line import parse_arguments
    from finetune.modeling import build_model

    (scratch / "base.json").write_text(json.dumps(ARCHITECTURE))
    words = f"--config {CONFIG} --from_config {scratch / 'base.json'} --freeze_feature_encoder true"
    words += (
        f" --output_dir {scratch} --num_train_epochs 1 --disable_tqdm true --load_best_model_at_end false"
    )
    words += " --eval_strategy no --save_strategy no --logging_strategy no"

    def fresh() -> "tuple[PreTrainedModel, Wav2Vec2FeatureExtractor]":
        set_seed(SEED)
        arguments = parse_arguments(words.split())
        return build_model(arguments.model, arguments.data.classes)

    def own_trainer(
        model: "PreTrainedModel", extractor: "Wav2Vec2FeatureExtractor", augment: str, clips: "list[Clip]"
    ) -> "Trainer":
        arguments = parse_arguments([*words.split(), "--augment", augment])
        settings, contract = arguments.augmentation.settings(), arguments.augmentation.crop_contract()
        return ClipTrainer(
            model=model,
            args=arguments.training,
            data_collator=WaveformCollator(extractor),
            train_dataset=ClipDataset(clips, waveforms, contract, settings, SEED),
            processing_class=extractor,
            callbacks=[],
        )

    (plain, extractor), (varied, _), (unvaried, _) = fresh(), fresh(), fresh()
    return {
        PLAIN: lambda clips: plain_trainer(plain, extractor, clips, scratch, SEED),
        DEFAULTS: partial(own_trainer, varied, extractor, "true"),
        UNVARIED: partial(own_trainer, unvaried, extractor, "false"),
    }


if __name__ == "__main__":
    sys.exit(main())
