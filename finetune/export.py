"""Exports a classifier to ONNX, OpenVINO or a page, and checks its answers against the checkpoint's.

    python -m finetune.export CHECKPOINT --format onnx --out runs/mine-onnx
    python -m finetune.export CHECKPOINT --format openvino --precision int8 --out runs/mine-int8
    python -m finetune.export CHECKPOINT --format onnx --end-to-end --out runs/mine-in-one-file
    python -m finetune.export CHECKPOINT --format web --out runs/mine-page

The first two are checkpoints like any other: --backend wav2vec2 --checkpoint runs/mine-int8. The others take
a waveform and hold all that follows; the last also listens, in a browser.
Exit code: 0, or 2 after a user's mistake or if the answers are no longer those of the checkpoint.
"""

import argparse
import importlib.metadata
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finetune import end_to_end
from finetune.checkpoint.split_card import read_split_card
from finetune.checkpoint.writer import SETTINGS_NAME, prepare_folder, written_whole
from finetune.corpus.clip import Clip
from finetune.corpus.loading import DATASET_HELP, load_corpus
from finetune.corpus.splits import Split, make_split
from finetune.web.folder import find_runtime, write_page
from inference.audio import SAMPLING_RATE
from inference.backends.encoder.backend import EncoderBackend, find_folder
from inference.backends.encoder.checkpoint import (
    EXPORT_FILE,
    EncoderCheckpoint,
    read_encoder_checkpoint,
)
from inference.backends.encoder.conversion import convert_checkpoint
from inference.backends.encoder.select_runtime import PRECISIONS, RuntimeChoice, candidates
from inference.backends.table import CARD_NAME
from inference.checkpoint import read_crop_contract
from inference.command_line import (
    EXIT_OK,
    CommandLineParser,
    path_argument,
    reports_user_errors,
    shareable_command,
)
from inference.crop import prepare
from inference.errors import CheckpointError, CorpusError, UserError
from inference.files import write_json
from inference.prediction import softmax
from inference.vocabulary import add_vocabulary_argument, checkpoint_argument, vocabulary

#: Format -> the runtime that reads it.
FORMATS = {"onnx": "onnxruntime", "openvino": "openvino"}
WEB = "web"
#: Enough for stable ranges of activations (the default of NNCF is 300 samples, of many classes).
NUM_CALIBRATION_CLIPS = 200
#: Below it an export is another model under the same name.
MIN_AGREEMENT = 0.99
#: One clip of this length is timed so often.
TIMED_SECONDS, TIMED_CALLS = 0.5, 50

#: What travels along: settings, labels, crop, cards, calibration, curves; neither weights nor pickles.
_CARRIED_SUFFIXES = frozenset({".csv", ".json", ".md", ".png", ".svg", ".txt", ".yaml"})


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.export", description="Exports a fine-tuned classifier, checked on its clips."
    )
    parser.add_argument(
        "checkpoint",
        type=checkpoint_argument,
        help="folder written by finetune.train; with --end-to-end or of the web also one of "
        "finetune.fit_baseline, or the name of a backend",
    )
    parser.add_argument(
        "--format", choices=[*FORMATS, WEB], required=True, help="what to write; web: a page that listens"
    )
    parser.add_argument(
        "--end-to-end",
        action="store_true",
        help="of onnx: one file that takes a waveform, features inside; no checkpoint",
    )
    parser.add_argument(
        "--onnxruntime-web",
        type=path_argument,
        metavar="FOLDER",
        help="of web: the npm package of that name, unpacked (default: fetched once into the user's cache)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "int8"),
        default="fp32",
        help="; ".join(f"{name}: {', '.join(PRECISIONS[runtime])}" for name, runtime in FORMATS.items())
        + "; int8 of openvino is calibrated on training clips (default: %(default)s)",
    )
    parser.add_argument("--out", type=path_argument, required=True, help="checkpoint folder to write")
    parser.add_argument("--dataset", default="auto", help=f"the corpus it was trained on: {DATASET_HELP}")
    add_vocabulary_argument(parser)
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line."""
    options = build_parser().parse_args(argv)
    out: Path = options.out
    if options.end_to_end or options.format == WEB:
        if options.format == "openvino" or options.precision != "fp32":
            raise UserError("what is exported end to end is --format onnx or web, with --precision fp32.")
        is_page = options.format == WEB
        figures = export_recogniser(
            options.checkpoint, out, options.dataset, is_page, options.onnxruntime_web
        )
    else:
        figures = export_checkpoint(
            options.checkpoint, FORMATS[options.format], options.precision, out, options.dataset
        )
    for name, value in figures.items():
        sys.stderr.write(f"{name.replace('_', ' ')}: {value:.6g}\n")
    sys.stderr.write(f"wrote {out}\n")
    return EXIT_OK


def export_checkpoint(
    checkpoint: str, runtime: str, precision: str, out: Path, dataset: str = "auto"
) -> dict[str, float]:
    """Writes an exported checkpoint.

    Args:
        checkpoint: Folder or Hub id with the weights of torch.
        runtime: ``onnxruntime`` or ``openvino``.
        precision: ``fp32``, ``bf16`` or ``int8``.
        out: The folder to write.
        dataset: The corpus that the checkpoint was trained on, see ``DATASET_HELP``.

    Returns:
        The comparison with PyTorch, by name.

    Raises:
        UserError: If it cannot be exported, or answers otherwise than the checkpoint.
    """
    source = read_encoder_checkpoint(find_folder(checkpoint))
    if source.exported:
        raise CheckpointError(
            f"{checkpoint} is an export already; name the folder that finetune.train wrote."
        )
    (choice,) = candidates(runtime, precision, source.num_parameters, source.converts_exactly)
    split = _training_split(source.folder, dataset)
    format_name = next(name for name, known in FORMATS.items() if known == runtime)
    prepare_folder(out)
    with written_whole(out) as unfinished:
        calibrated = choice == RuntimeChoice("openvino", "int8")
        calibration = _calibration(source, split.train) if calibrated else []
        convert_checkpoint(source, choice, unfinished, calibration)
        for path in source.folder.iterdir():
            if path.is_file() and path.suffix in _CARRIED_SUFFIXES and path.name != SETTINGS_NAME:
                shutil.copy(path, unfinished)
        _describe(unfinished, source, choice, {})
        figures = _compare(source.folder, unfinished, choice, split.validation)
        if figures["label_agreement"] < MIN_AGREEMENT:
            raise UserError(
                f"in {precision} only {figures['label_agreement']:.3f} of {len(split.validation)} validation "
                f"clips keep their label, expected {MIN_AGREEMENT} at least; nothing was written, though a "
                f"clip takes {figures['time_ratio']:.2f} of PyTorch's time. Choose another --precision or "
                "--format."
            )
        _describe(unfinished, source, choice, figures)
        options = ("--format", format_name, "--precision", precision, "--dataset", dataset, "--out", str(out))
        command = shareable_command("python", "-m", "finetune.export", checkpoint, *options)
        _write_card(unfinished / "README.md", command, choice, figures)
    return figures


def export_recogniser(
    checkpoint: str, out: Path, dataset: str = "auto", page: bool = False, runtime: Path | None = None
) -> dict[str, float]:
    """Writes a recogniser in one file, and a page around it if asked for.

    Args:
        checkpoint: See ``end_to_end.load_exportable``.
        out: The folder to write.
        dataset: Its official test clips are asked of both, see ``DATASET_HELP``; nothing is chosen by them.
        page: Whether to write the page too.
        runtime: See ``web.folder.find_runtime``.

    Returns:
        The comparison with the backend, by name.

    Raises:
        UserError: If it cannot be exported, or answers otherwise than the backend.
    """
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} exists and is not empty; remove it or choose another folder.")
    backend, source = end_to_end.load_exportable(checkpoint)
    if page:
        runtime = find_runtime(runtime)
    corpus = load_corpus(dataset)
    prepare_folder(out)
    with written_whole(out) as unfinished:
        path = unfinished / end_to_end.RECOGNISER_FILE
        metadata = end_to_end.write_recogniser(backend, source, path)
        figures = end_to_end.compare(backend, path, make_split(corpus.clips).test)
        content = {"corpus": corpus.description, "comparison": figures, "metadata": metadata}
        write_json(unfinished / EXPORT_FILE, content)
        if page and runtime:
            write_page(unfinished, metadata, runtime)
    return figures


def _training_split(folder: Path, dataset: str) -> Split:
    """The split that a checkpoint was trained on, from its card."""
    card = read_split_card(folder)
    if card is None:
        raise CheckpointError(
            f"{folder} has no {CARD_NAME}: which clips it learned from is not known, and no others may be "
            "used to calibrate and compare. Export a folder that finetune.train wrote."
        )
    corpus = load_corpus(dataset)
    split = make_split(corpus.clips, card.protocol, card.seed, card.fold)
    if split.fingerprint != card.fingerprint:
        raise CorpusError(
            f"{folder} was trained on the corpus {card.corpus} with the test list {card.fingerprint}; "
            f"{corpus.description} gives {split.fingerprint}. Name the same corpus: --dataset FOLDER."
        )
    return split


def _calibration(source: EncoderCheckpoint, clips: Sequence[Clip]) -> list[np.ndarray]:
    """Training clips from all over the list, as the network is given them."""
    contract = read_crop_contract(source.folder)
    places = np.linspace(0, len(clips) - 1, min(NUM_CALIBRATION_CLIPS, len(clips))).astype(int)
    return [source.inputs(prepare(clips[place].waveform(), contract)) for place in places]


def _compare(source: Path, exported: Path, choice: RuntimeChoice, clips: Sequence[Clip]) -> dict[str, float]:
    """How far the exported answers are from those of PyTorch in fp32."""
    waveforms = [clip.waveform() for clip in clips]
    plain = EncoderBackend.load(str(source), runtime="torch", precision="fp32")
    ours = EncoderBackend.load(str(exported))
    expected, found = plain.logits(waveforms), ours.logits(waveforms)
    label2id = vocabulary().label2id
    expected_labels, found_labels = (
        logits[:, : len(label2id)].argmax(axis=1) for logits in (expected, found)
    )
    references = np.array([label2id[clip.label] for clip in clips])
    return {
        "validation_clips": len(clips),
        "max_logit_difference": float(np.abs(found - expected).max()),
        "max_probability_difference": float(np.abs(softmax(found) - softmax(expected)).max()),
        "label_agreement": float(np.mean(found_labels == expected_labels)),
        "pytorch_accuracy": float(np.mean(expected_labels == references)),
        "exported_accuracy": float(np.mean(found_labels == references)),
        "pytorch_bytes": plain.checkpoint_bytes or 0,
        "exported_bytes": ours.checkpoint_bytes or 0,
        **_time(plain, ours),
    }


def _time(plain: EncoderBackend, ours: EncoderBackend) -> dict[str, float]:
    """Milliseconds of one clip on one thread, in turns, and their ratio: below 1 the export is faster."""
    clip = np.random.default_rng(0).standard_normal(round(TIMED_SECONDS * SAMPLING_RATE), dtype=np.float32)
    milliseconds: dict[str, list[float]] = {"pytorch": [], "exported": []}
    for _ in range(TIMED_CALLS):
        for name, backend in (("pytorch", plain), ("exported", ours)):
            start = time.perf_counter()
            backend.logits([clip])
            milliseconds[name].append(1e3 * (time.perf_counter() - start))
    # The first call of each prepares kernels.
    pytorch_ms, exported_ms = (statistics.median(values[1:]) for values in milliseconds.values())
    return {"pytorch_ms": pytorch_ms, "exported_ms": exported_ms, "time_ratio": exported_ms / pytorch_ms}


def _describe(
    folder: Path, source: EncoderCheckpoint, choice: RuntimeChoice, figures: dict[str, float]
) -> None:
    content = {
        "runtime": choice.runtime,
        "precision": choice.precision,
        "version": importlib.metadata.version(choice.runtime),
        "num_parameters": source.num_parameters,
        "comparison": figures,
    }
    write_json(folder / EXPORT_FILE, content)


def _write_card(path: Path, command: str, choice: RuntimeChoice, figures: dict[str, float]) -> None:
    """Adds to the card of the checkpoint how far this export is from it."""
    card = path.read_text(encoding="utf-8") if path.is_file() else "# Spoken digits\n"
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in figures.items())
    path.write_text(
        f"{card}\n## Export\n\n```\n{command}\n```\n\nConverted to {choice.runtime} in {choice.precision}, "
        "compared with PyTorch in fp32 on the validation clips; milliseconds are medians of "
        f"{TIMED_CALLS - 1} calls of each in "
        f"turns, one clip of {TIMED_SECONDS:g} s on one thread.\n\n"
        f"| comparison | value |\n|---|---|\n{rows}\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())
