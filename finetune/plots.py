"""Pictures of an evaluation and of training clips, drawn without a screen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from inference.audio import SAMPLING_RATE
from inference.features import FeatureSettings, cosines, log_mel
from inference.vocabulary import vocabulary

#: Panels of the training curves: title -> keys of a history's records.
CURVES = {
    "loss": ("loss", "eval_loss"),
    "accuracy": ("accuracy", "eval_accuracy"),
    "macro F1": ("macro_f1", "eval_macro_f1"),
}
#: Bands up to half the sampling rate, for eyes rather than for a model.
PICTURE_FEATURES = FeatureSettings(n_mels=64, high_hz=8000.0, floor_db=60.0)


def draw_confusion(counts: Sequence[Sequence[int]], path: Path) -> None:
    """Draws spoken digits against answers; shades are shares of the row, numbers are clips."""
    matrix = np.asarray(counts)
    figure = Figure(figsize=(6, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if count > matrix[row].sum() / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    labels = vocabulary().labels
    axes.set(xlabel="answer", ylabel="spoken", xticks=range(len(labels)), yticks=range(len(labels)))
    axes.set_xticklabels(labels)
    axes.set_yticklabels(labels)
    figure.savefig(path, dpi=120)


def draw_roc(probabilities: np.ndarray, references: Sequence[str], path: Path) -> None:
    """Draws for each label which share of it is found against which share of the others is taken for it.

    Args:
        probabilities: ``(num_clips, num_labels)``.
        references: The labels that were spoken.
        path: The picture to write.
    """
    from sklearn.metrics import roc_curve

    figure = Figure(figsize=(6, 5.5), layout="constrained")
    axes = figure.subplots()
    for label, scores in zip(vocabulary().labels, probabilities.T, strict=True):
        is_label = np.asarray(references) == label
        if is_label.any() and not is_label.all():
            false_positives, true_positives, _ = roc_curve(is_label, scores)
            axes.plot(false_positives, true_positives, label=label, alpha=0.8)
    axes.set(
        xlabel="share of other words taken for it", ylabel="share found", title="ROC, label against rest"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def draw_history(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws loss, accuracy and macro F1 over the epochs, training and validation."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (title, keys) in zip(figure.subplots(1, len(CURVES)), CURVES.items(), strict=True):
        for key in keys:
            points = [(record["epoch"], record[key]) for record in history if key in record]
            if points:
                name = "validation" if key.startswith("eval_") else "training"
                axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 30 else "")
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=120)


def draw_clips(rows: Sequence[tuple[str, np.ndarray, Sequence[np.ndarray]]], path: Path) -> None:
    """Draws clips before and after augmentation: waveform above log-mel.

    Args:
        rows: Name, clip, and its variations, as many for each.
        path: The picture to write.
    """
    num_columns = 1 + len(rows[0][2])
    figure = Figure(figsize=(2.6 * num_columns, 2.8 * len(rows)), layout="constrained")
    heights = [1, 1.6] * len(rows)
    panels = figure.subplots(2 * len(rows), num_columns, squeeze=False, height_ratios=heights)
    for row, (name, clip, variations) in enumerate(rows):
        for column, waveform in enumerate((clip, *variations)):
            wave, bands = panels[2 * row, column], panels[2 * row + 1, column]
            seconds = waveform.size / SAMPLING_RATE
            wave.plot(np.arange(waveform.size) / SAMPLING_RATE, waveform, linewidth=0.4)
            wave.set(xlim=(0, seconds), ylim=(-1, 1), xticks=[], yticks=[])
            wave.set_title(name if column == 0 else f"epoch {column - 1}", fontsize=9)
            bands.imshow(
                log_mel(waveform, PICTURE_FEATURES).T,
                origin="lower",
                aspect="auto",
                extent=(0, seconds, 0, PICTURE_FEATURES.n_mels),
            )
            bands.set(yticks=[])
            bands.tick_params(labelsize=7)
    figure.supxlabel("seconds; log-mel bands from 60 Hz to 8 kHz below each waveform", fontsize=9)
    figure.savefig(path, dpi=110)


def draw_corpus(
    seconds: Sequence[float], level_dbfs: Sequence[float], noise_dbfs: Sequence[float], path: Path
) -> None:
    """Draws how long and how loud the clips of a corpus are."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    durations, levels = figure.subplots(1, 2)
    durations.hist(seconds, bins=40)
    durations.set(xlabel="duration in seconds", ylabel="clips")
    levels.hist(
        [level_dbfs, noise_dbfs], bins=40, histtype="stepfilled", alpha=0.6, label=["clip", "noise floor"]
    )
    levels.set(xlabel="level in dBFS", ylabel="clips")
    levels.legend()
    figure.savefig(path, dpi=120)


def draw_labels(waveforms: Mapping[str, np.ndarray], path: Path) -> None:
    """Draws log-mel and MFCCs of one clip of each label."""
    figure = Figure(figsize=(6, 1.5 * len(waveforms)), layout="constrained")
    rows = figure.subplots(len(waveforms), 2, squeeze=False)
    for (label, waveform), axes in zip(waveforms.items(), rows, strict=True):
        bands = log_mel(waveform, PICTURE_FEATURES)
        mfccs = bands @ cosines(PICTURE_FEATURES.n_mels, PICTURE_FEATURES.n_mfcc)
        extent = (0, waveform.size / SAMPLING_RATE, 0, 1)
        for axis, image in zip(axes, (bands, mfccs), strict=True):
            axis.imshow(image.T, origin="lower", aspect="auto", extent=extent)
            axis.set(yticks=[])
            axis.tick_params(labelsize=7)
        axes[0].set_ylabel(label)
    rows[0, 0].set_title("log-mel bands", fontsize=9)
    rows[0, 1].set_title(f"MFCCs 1 to {PICTURE_FEATURES.n_mfcc}", fontsize=9)
    figure.supxlabel("seconds", fontsize=9)
    figure.savefig(path, dpi=110)
