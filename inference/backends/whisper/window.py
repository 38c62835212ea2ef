"""How much audio the encoder of Whisper is given: the stock 30 s, or no more than the word needs.

Whisper was trained on windows of 30 s, and its library pads every clip to that length: for a word of
half a second the encoder works on 98 % silence. It computes on any shorter window as well. Whether
the answers of public weights stay the same is a question to be measured, so the stock window is the
reference and the short one has a row of its own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from inference.audio import SAMPLING_RATE

if TYPE_CHECKING:
    from ctranslate2 import StorageView
    from faster_whisper import WhisperModel

#: Samples per feature frame (10 ms).
HOP_SAMPLES = SAMPLING_RATE // 100
#: Frames of the window that Whisper was trained on (30 s).
STANDARD_FRAMES = 3000
#: Silence after the audio, at least; of the answers of a toy model (``tests.toy_whisper``) to the clips that
#: it was trained on, less changed more, and more than this changed no fewer.
MARGIN_FRAMES = 150
#: Windows come in steps, so that clips of similar length share a batch.
STEP_FRAMES = 50
#: Audio longer than this (5 s) holds more than one word; it gets the standard window.
LONGEST_SHORT_FRAMES = 500


def short_window(num_samples: int) -> int:
    """Length in frames of the window for a waveform; longer audio gets the standard one."""
    num_frames = num_samples // HOP_SAMPLES
    if num_frames > LONGEST_SHORT_FRAMES:
        return STANDARD_FRAMES
    return -(-(num_frames + MARGIN_FRAMES) // STEP_FRAMES) * STEP_FRAMES


def encoder_multiply_accumulates(shapes: Mapping[str, tuple[int, ...]], num_frames: int) -> int:
    """Multiplications with addition in the encoder for one window.

    Args:
        shapes: Of the weights by name, from ``ctranslate2_file.read_shapes``.
        num_frames: Length of the window.
    """
    positions = num_frames // 2
    total = 0
    for name, shape in shapes.items():
        if name.startswith("encoder/conv"):  # the first one slides over frames, the second over every other
            total += math.prod(shape) * (num_frames if name.startswith("encoder/conv1") else positions)
        elif name.startswith("encoder/") and len(shape) == 2 and "position" not in name:
            total += math.prod(shape) * positions
        if name.startswith("encoder/") and name.endswith("self_attention/linear_0/weight"):
            total += 2 * positions**2 * shape[1]  # queries with keys, weights with values
    return total


def log_mel(model: "WhisperModel", waveform: np.ndarray) -> np.ndarray:
    """The features that ``WhisperModel.transcribe`` makes of a waveform, ``(n_mels, num_frames)``."""
    # The extractor adds a frame of padding, which transcribe cuts off again.
    return np.asarray(model.feature_extractor(waveform)[:, :-1])


def encode(model: "WhisperModel", features: Sequence[np.ndarray], num_frames: int) -> "StorageView":
    """Encodes clips in windows of equal length.

    Args:
        model: The loaded model.
        features: One ``(n_mels, frames of the clip)`` per clip, from ``log_mel``.
        num_frames: Length of the window; longer features are cut, shorter ones padded with zeros as
            ``transcribe`` does.

    Returns:
        What the decoder attends to, ``(num_clips, num_frames // 2, width)``.
    """
    windows = np.zeros((len(features), len(features[0]), num_frames), dtype=np.float32)
    for window, clip in zip(windows, features, strict=True):
        window[:, : clip.shape[1]] = clip[:, :num_frames]
    return model.encode(windows)
