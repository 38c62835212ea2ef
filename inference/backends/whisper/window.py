"""How much audio the encoder of Whisper is given: the stock 30 s, or no more than the word needs.

Whisper was trained on windows of 30 s, and its library pads every clip to that length: for a word of
half a second the encoder works on 98 % silence. It computes on any shorter window as well. Two things
decide whether its answers stay as good: the padding is silence of the waveform (zeros among the
features are no silence to the network), and silence comes before the word, too. A word at the very
first sample is half lost. ``benchmarks.whisper_windows`` measures both.
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
#: Silence before the audio; of 0, 200, 300 and 500 ms the best on training and validation speakers.
LEAD_FRAMES = 30
#: Silence after the audio, at least.
MARGIN_FRAMES = 50
#: The shortest window (2 s): it holds most single words, so that they share a batch.
SHORTEST_FRAMES = 200
#: Longer windows come in steps, for the same reason.
STEP_FRAMES = 100
#: Audio longer than this (5 s) holds more than one word; it gets the standard window.
LONGEST_SHORT_FRAMES = 500


def short_window(num_samples: int) -> int:
    """Length in frames of the window for a waveform; longer audio gets the standard one."""
    num_frames = -(-num_samples // HOP_SAMPLES)
    if num_frames > LONGEST_SHORT_FRAMES:
        return STANDARD_FRAMES
    needed = LEAD_FRAMES + num_frames + MARGIN_FRAMES
    return max(SHORTEST_FRAMES, -(-needed // STEP_FRAMES) * STEP_FRAMES)


def place(waveform: np.ndarray, num_frames: int, lead_frames: int = LEAD_FRAMES) -> np.ndarray:
    """Puts a waveform into a window of silence.

    Args:
        waveform: ``(num_samples,)``; what is longer than the window is cut.
        num_frames: Length of the window.
        lead_frames: Silence before the waveform, as far as the window has room.

    Returns:
        ``(num_frames * HOP_SAMPLES,)``.
    """
    window = np.zeros(num_frames * HOP_SAMPLES, dtype=np.float32)
    waveform = waveform[: window.size]
    start = min(lead_frames * HOP_SAMPLES, window.size - waveform.size)
    window[start : start + waveform.size] = waveform
    return window


def log_mel(model: "WhisperModel", window: np.ndarray) -> np.ndarray:
    """The features of a window, ``(n_mels, num_frames)``."""
    # Without padding: the window brings its own silence.
    features: np.ndarray = model.feature_extractor(window, padding=0)
    return features[:, : window.size // HOP_SAMPLES]


def encode(model: "WhisperModel", features: Sequence[np.ndarray]) -> "StorageView":
    """Encodes windows of equal length.

    Args:
        model: The loaded model.
        features: One ``(n_mels, num_frames)`` per clip, from ``log_mel``.

    Returns:
        What the decoder attends to, ``(num_clips, num_frames // 2, width)``.
    """
    return model.encode(np.stack(features))


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
