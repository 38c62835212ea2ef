"""From waveforms to what an encoder of them is given: normalised, and padded in batches of like lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Share of a batch that may be padding; more costs more than a call saves.
MAX_PADDING = 0.15
#: Keeps silence finite: added to the variance by transformers' Wav2Vec2FeatureExtractor.
EPSILON = 1e-7


@dataclass(frozen=True)
class Batch:
    """Clips that are classified together.

    Attributes:
        rows: Their places in the list they come from.
        length: Samples, or frames, that all are padded to.
    """

    rows: tuple[int, ...]
    length: int


def normalised(waveform: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, as transformers' ``Wav2Vec2FeatureExtractor`` computes it."""
    return (waveform - waveform.mean()) / np.sqrt(waveform.var() + EPSILON)


def plan_batches(lengths: Sequence[int], max_batch: int, step: int, may_pad: bool) -> list[Batch]:
    """Groups clips of like lengths, the longest first.

    Args:
        lengths: Samples, or frames, of each clip.
        max_batch: Most clips of a batch.
        step: Batches are padded to a multiple of this length.
        may_pad: Whether padding changes no answer; if not, only clips of one length are grouped.
    """
    batches: list[Batch] = []
    rows: list[int] = []
    longest = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        shortest = longest * (1 - MAX_PADDING) if may_pad else longest
        if rows and (len(rows) == max_batch or lengths[row] < shortest):
            batches.append(Batch(tuple(rows), longest))
            rows = []
        if not rows:
            longest = -(-lengths[row] // step) * step if may_pad else lengths[row]
        rows.append(row)
    return [*batches, Batch(tuple(rows), longest)] if rows else []


def padded(inputs: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Stacks arrays with zeros at the end of the last axis: float32, ``(len(inputs), ..., length)``."""
    batch = np.zeros((len(inputs), *inputs[0].shape[:-1], length), np.float32)
    for row, values in zip(batch, inputs, strict=True):
        row[..., : values.shape[-1]] = values
    return batch
