"""What a checkpoint gets right: figures, a confusion matrix and the curves of its training.

python -m finetune.evaluation runs/mine
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.checkpoint.split_card import read_split_card
from finetune.corpus.clip import Clip
from finetune.corpus.loading import DATASET_HELP, load_corpus
from finetune.corpus.splits import make_split
from inference.backends.table import BACKENDS, CARD_NAME, load_backend
from inference.command_line import EXIT_OK, CommandLineParser, path_argument, reports_user_errors
from inference.errors import CheckpointError
from inference.files import read_json, write_json
from inference.vocabulary import add_vocabulary_argument, checkpoint_argument

if TYPE_CHECKING:
    import numpy as np

CLIPS_PER_CALL = 32
#: File of a checkpoint -> the backend that reads it; the first that is there decides.
BACKEND_OF_FILE = {"config.json": "wav2vec2", "model.onnx": "logmel-dscnn", "model.safetensors": "mfcc"}


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(
        prog="python -m finetune.evaluation", description="Evaluates a checkpoint on the split of its card."
    )
    parser.add_argument(
        "checkpoint",
        type=lambda text: path_argument(checkpoint_argument(text)),
        help="folder written by this project",
    )
    parser.add_argument(
        "--backend",
        choices=list(BACKENDS),
        help="what runs it (default: as its files say)",
    )
    parser.add_argument("--dataset", default="auto", help=DATASET_HELP)
    add_vocabulary_argument(parser)
    parser.add_argument("--out", type=path_argument, help="folder to write (default: CHECKPOINT/evaluation)")
    return parser


@reports_user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    card = read_split_card(options.checkpoint)
    if card is None:
        raise CheckpointError(f"{options.checkpoint} has no {CARD_NAME}: train or fit it with this project.")
    corpus = load_corpus(options.dataset)
    split = make_split(corpus.clips, card.protocol, card.seed, card.fold)
    if split.fingerprint != card.fingerprint:
        raise CheckpointError(
            f"{corpus.description} has another test set ({split.fingerprint}) than the one of "
            f"{options.checkpoint} ({card.fingerprint}); pass --dataset with the corpus it was trained on."
        )
    name = options.backend or _backend_name(options.checkpoint)
    probabilities, report = evaluate_clips(load_backend(name, str(options.checkpoint)), split.test)
    folder = options.out or options.checkpoint / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    report = {"checkpoint": str(options.checkpoint), "split": split.caption, **report}
    write_json(folder / "evaluation.json", report)
    # Imported here: --help and wrong options need not wait for matplotlib.
    from finetune.plots import draw_confusion, draw_history, draw_roc

    draw_confusion(report["confusion"], folder / "confusion.png")
    draw_roc(probabilities, [clip.label for clip in split.test], folder / "roc.png")
    history = options.checkpoint / "history.json"
    if history.is_file():
        draw_history(read_json(history), folder / "curves.png")
    sys.stdout.write(markdown(report))
    sys.stderr.write(f"wrote {folder}\n")
    return EXIT_OK


def _backend_name(checkpoint: Path) -> str:
    for file, name in BACKEND_OF_FILE.items():
        if (checkpoint / file).is_file():
            return name
    raise CheckpointError(
        f"{checkpoint} has none of {', '.join(BACKEND_OF_FILE)}; restore it or pass --backend."
    )


def evaluate_clips(backend: Any, clips: Sequence[Clip]) -> "tuple[np.ndarray, dict[str, Any]]":
    """Asks a classifier about clips; digits only, so a reject class takes no part.

    Args:
        backend: A ``Backend`` that gives probabilities.
        clips: What to ask.

    Returns:
        Probabilities ``(num_clips, num_labels)``, and the figures by name.

    Raises:
        CheckpointError: If the backend gives none.
    """
    import numpy as np
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
    from tqdm import tqdm

    from finetune.intervals import wilson_interval
    from finetune.metrics import accuracy, calibration_error, macro_f1, roc_auc
    from inference.vocabulary import vocabulary

    predictions = []
    for start in tqdm(range(0, len(clips), CLIPS_PER_CALL), desc="evaluating", disable=None):
        waveforms = [clip.waveform() for clip in clips[start : start + CLIPS_PER_CALL]]
        predictions += backend.predict(waveforms)
    if any(prediction.probabilities is None for prediction in predictions):
        raise CheckpointError("the backend gives no probabilities; compare it with python -m benchmarks.run.")
    references = [clip.label for clip in clips]
    answers = [prediction.label for prediction in predictions]
    probabilities = np.array([prediction.probabilities for prediction in predictions])
    label_ids = np.array([vocabulary().label2id[label] for label in references])
    labels = [label for label in vocabulary().labels if label in references]
    columns = precision_recall_fscore_support(references, answers, labels=labels, zero_division=0)
    low, high, _ = wilson_interval(sum(a == r for a, r in zip(answers, references, strict=True)), len(clips))
    return probabilities, {
        "clips": len(clips),
        "accuracy": accuracy(answers, references),
        "accuracy_interval": [low, high],
        "macro_f1": macro_f1(answers, references),
        "roc_auc": roc_auc(probabilities, label_ids),
        "calibration_error": calibration_error(probabilities, label_ids),
        "per_class": {
            label: dict(zip(("precision", "recall", "f1", "support"), row, strict=True))
            for label, *row in zip(labels, *(column.tolist() for column in columns), strict=True)
        },
        "confusion": confusion_matrix(references, answers, labels=vocabulary().labels).tolist(),
    }


def markdown(report: dict[str, Any]) -> str:
    """The figures as text."""
    from finetune.metrics import NUM_BINS

    low, high = report["accuracy_interval"]
    rows = "\n".join(
        f"| {label} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['support']} |"
        for label, row in report["per_class"].items()
    )
    return (
        f"{report['clips']} test clips; {report['split']}\n\n"
        f"accuracy {report['accuracy']:.4f} [{low:.4f}, {high:.4f}] (95 % Wilson), "
        f"macro F1 {report['macro_f1']:.4f}, ROC area {report['roc_auc']:.4f}, "
        f"calibration error {report['calibration_error']:.4f} ({NUM_BINS} bins)\n\n"
        f"| label | precision | recall | F1 | clips |\n|---|---|---|---|---|\n{rows}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
