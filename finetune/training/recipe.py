"""What every training ends with, of a large network or of a small one: operating point, figures and cards."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from finetune.checkpoint.calibration import calibrate, log_softmax, refusal_scores, write_calibration
from finetune.checkpoint.model_card import rates_of
from finetune.checkpoint.split_card import SplitCard
from finetune.checkpoint.writer import Provenance, write_checkpoint
from finetune.corpus.clip import Clip
from finetune.metrics import accuracy, detection_auc, macro_f1
from finetune.training.data import DataArguments, TrainingData
from inference.crop import CropContract
from inference.prediction import OperatingPoint, prediction_from_probabilities
from inference.vocabulary import vocabulary

#: Asks a model about clips: logits, or log-probabilities, ``(num_clips, num_classes)``.
Logits = Callable[[Sequence[Clip]], np.ndarray]


def validate(
    logits: Logits, data: TrainingData, max_false_accept_rate: float | None = None
) -> tuple[dict[str, float], OperatingPoint | None]:
    """Figures on validation clips, and the operating point of a model with a reject class.

    Args:
        logits: A model that has not learned from them.
        data: What it learned from, and the validation clips.
        max_false_accept_rate: See ``DataArguments``.
    """
    words, others = data.split.validation, data.non_words["validation"]
    if not words:
        return {}, None
    word_logits = logits(words)
    figures = _figures("validation", word_logits, words)
    if not others:
        return figures, None
    figures["validation_non_words"] = len(others)
    figures["validation_rejection_auc"] = detection_auc(
        refusal_scores(word_logits), refusal_scores(logits(others))
    )
    noisy_words, noisy_others = data.calibration_clips()
    point = calibrate(
        logits(noisy_words),
        _label_ids(noisy_words),
        logits(noisy_others),
        max_false_accept_rate,
        num_recordings=len(others),
    )
    return figures | rates_of(point), point


def measure_test(
    logits: Logits, data: TrainingData, operating_point: OperatingPoint | None
) -> dict[str, float]:
    """Figures on test clips, and rates of the operating point there; nothing is chosen by them."""
    words, others = data.split.test, data.non_words["test"]
    word_logits = logits(words)
    figures = _figures("test", word_logits, words)
    if operating_point is not None:
        figures |= {
            "test_words_refused": 1.0 - _shown(operating_point, word_logits),
            "test_non_words": len(others),
            "test_non_words_shown": _shown(operating_point, logits(others)),
        }
    return figures


def write(
    folder: Path,
    save_model: Callable[[Path], object],
    contract: CropContract,
    data: TrainingData,
    arguments: DataArguments,
    operating_point: OperatingPoint | None,
    heard_through: Sequence[SplitCard] = (),
    **provenance: Any,
) -> None:
    """Writes the finished checkpoint.

    Args:
        folder: Where it goes.
        save_model: Writes weights and their settings into the folder it is given.
        contract: The crop that the model was trained for.
        data: What it learned from.
        arguments: How that was asked for.
        operating_point: Written as ``calibration.json``, where there is one.
        heard_through: The cards of the weights that training went on from.
        provenance: The other fields of ``Provenance``: title, command, figures, notes, history.
    """

    def save(unfinished: Path) -> None:
        save_model(unfinished)
        if operating_point is not None:
            write_calibration(unfinished, operating_point)

    made = Provenance(
        corpus=data.corpora[0],
        split=data.split,
        classes=arguments.classes,
        sources=data.sources,
        recorded_non_words=data.recorded_non_words,
        heard_through=(*heard_through, *(data.soft_labeller.cards if data.soft_labeller else ())),
        **provenance,
    )
    write_checkpoint(folder, save, contract, made)


def _figures(part: str, logits: np.ndarray, clips: Sequence[Clip]) -> dict[str, float]:
    """Accuracy and F1 of the words as a closed set."""
    answers = logits[:, : len(vocabulary().labels)].argmax(axis=1).tolist()
    references = _label_ids(clips).tolist()
    return {
        f"{part}_clips": len(clips),
        f"{part}_accuracy": accuracy(answers, references),
        f"{part}_macro_f1": macro_f1(answers, references),
    }


def _shown(operating_point: OperatingPoint, logits: np.ndarray) -> float:
    """Share of the answers that are shown."""
    rows = np.exp(log_softmax(logits / operating_point.temperature))
    answers = [operating_point.decide(prediction_from_probabilities(row)) for row in rows]
    return sum(answer.label is not None for answer in answers) / len(answers)


def _label_ids(clips: Sequence[Clip]) -> np.ndarray:
    return np.array([vocabulary().label2id[clip.label] for clip in clips])
