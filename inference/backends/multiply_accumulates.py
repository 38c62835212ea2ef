"""The work of one prediction in closed form: multiplications with addition.

Element-wise steps (normalisation, activations, softmax) are left out, as is usual.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.features import FRAME_SAMPLES, HOP_SAMPLES, N_FFT


def count_log_mel(num_samples: int, n_mels: int, n_coefficients: int = 0) -> int:
    """Log-mel bands, and the cosine transform to some coefficients, of one waveform.

    Per frame: the window, a real Fourier transform as ``N log2 N``, the power of each bin, two
    triangles over each bin.
    """
    num_frames = max((num_samples + HOP_SAMPLES // 2) // HOP_SAMPLES, 1)
    num_bins = N_FFT // 2 + 1
    spectrum = FRAME_SAMPLES + N_FFT * round(math.log2(N_FFT)) + 2 * num_bins
    return num_frames * (spectrum + 2 * num_bins + n_mels * n_coefficients)


def count_wav2vec2(config: Mapping[str, Any], num_samples: int) -> int:
    """A Wav2Vec2 classifier (Baevski et al. 2020, https://arxiv.org/abs/2006.11477) on one waveform.

    Args:
        config: Content of ``config.json``, as transformers writes it.
        num_samples: Length at 16 kHz.
    """
    total, frames, channels = 0, num_samples, 1
    shapes = zip(config["conv_dim"], config["conv_kernel"], config["conv_stride"], strict=True)
    for width, kernel, stride in shapes:
        frames = max((frames - kernel) // stride + 1, 1)
        total += frames * channels * width * kernel
        channels = width
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    groups = config["num_conv_pos_embedding_groups"]
    positions = hidden * (hidden // groups) * config["num_conv_pos_embeddings"]
    layer = 4 * hidden**2 + 2 * hidden * inner + 2 * frames * hidden
    projection = config["classifier_proj_size"]
    total += frames * (channels * hidden + positions + config["num_hidden_layers"] * layer)
    return total + frames * hidden * projection + projection * len(config["id2label"])


def count_whisper_encoder(config: Mapping[str, Any]) -> int:
    """A classifier on Whisper's encoder (Radford et al. 2022, https://arxiv.org/abs/2212.04356), one window.

    Args:
        config: Content of ``config.json``, as transformers writes it.
    """
    positions, width, n_mels = config["max_source_positions"], config["d_model"], config["num_mel_bins"]
    num_frames = 2 * positions  # the second convolution takes every other one
    convolutions = 3 * width * (num_frames * n_mels + positions * width)
    layer = 4 * width**2 + 2 * width * config["encoder_ffn_dim"] + 2 * positions * width
    projection = config["classifier_proj_size"]
    encoder = convolutions + positions * (config["encoder_layers"] * layer + width * projection)
    features = count_log_mel(num_frames * HOP_SAMPLES, n_mels)
    return features + encoder + projection * len(config["id2label"])


def count_network(path: Path) -> int | None:
    """A convolutional network stored as ONNX, for one input: its convolutions and matrix products.

    Args:
        path: A file whose intermediate shapes are stored, as torch writes them.

    Returns:
        None where a shape is missing.
    """
    import onnx_ir  # Takes time that only this figure needs.

    total = 0
    for node in onnx_ir.load(path).graph:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            weights, output = node.inputs[1], node.outputs[0]
            if weights is None or weights.shape is None or output.shape is None:
                return None
            # Every weight works once at every place of the output; the first axis is the batch.
            places = output.shape[2:] if node.op_type == "Conv" else output.shape[1:-1]
            sizes: list[Any] = [*places, *weights.shape]
            total += math.prod(sizes)
    return total
