"""Two small networks on the log-mel window of one word: ``(batch, 1, num_frames, n_mels)`` in, logits out."""

import numpy as np
import torch
from torch import nn

from inference.features import cosines


class SeparableBlock(nn.Module):
    """A depthwise and a pointwise convolution, each normalised; the input is added where shapes agree.

    (Howard et al. 2017, "MobileNets", https://arxiv.org/abs/1704.04861; for keywords: Zhang et al.
    2017, "Hello Edge", https://arxiv.org/abs/1711.07128.)

    Args:
        num_inputs: Channels in.
        num_outputs: Channels out.
        kernel_size: Of the depthwise convolution, time and frequency.
        stride: Of the depthwise convolution, in both directions.
    """

    def __init__(
        self, num_inputs: int, num_outputs: int, kernel_size: tuple[int, int] = (3, 3), stride: int = 1
    ):
        super().__init__()
        padding = (kernel_size[0] // 2, kernel_size[1] // 2)
        self.layers = nn.Sequential(
            nn.Conv2d(num_inputs, num_inputs, kernel_size, stride, padding, groups=num_inputs, bias=False),
            nn.BatchNorm2d(num_inputs),
            nn.ReLU(),
            nn.Conv2d(num_inputs, num_outputs, 1, bias=False),
            nn.BatchNorm2d(num_outputs),
        )
        self.adds_input = num_inputs == num_outputs and stride == 1

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """``(batch, num_inputs, time, frequency)`` to ``(batch, num_outputs, ...)``."""
        outputs = self.layers(images)
        return torch.relu(images + outputs if self.adds_input else outputs)


class LogMelDscnn(nn.Module):
    """Depthwise-separable convolutions over time and frequency; about 59,000 parameters.

    Filters that slide over frequency know a vowel again whose formants lie a little higher, as those
    of another speaker do; filters over time alone would have to learn each place apart.

    Args:
        num_labels: Classes.
        n_mels: Bands of the window.
    """

    def __init__(self, num_labels: int, n_mels: int):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 5, 2, 2, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.blocks = nn.Sequential(
            SeparableBlock(32, 48),
            SeparableBlock(48, 64, stride=2),
            SeparableBlock(64, 96),
            SeparableBlock(96, 96),
            SeparableBlock(96, 128, stride=2),
            SeparableBlock(128, 128),
        )
        num_bands = -(-n_mels // 8)  # three strides of 2
        self.over_frequency = nn.Sequential(
            nn.Conv2d(128, 128, (1, num_bands), groups=128, bias=False), nn.BatchNorm2d(128), nn.ReLU()
        )
        self.head = _Head(128, num_labels)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, num_labels)``."""
        return self.head(self.over_frequency(self.blocks(self.stem(windows))))


class MfccCnn(nn.Module):
    """Separable convolutions over time on a map of MFCCs (after Choi et al. 2019, TC-ResNet).

    (https://arxiv.org/abs/1904.03814.) The cosine transform is the first, fixed layer.

    Args:
        num_labels: Classes.
        n_mels: Bands of the window.
        n_mfcc: Coefficients kept.
    """

    def __init__(self, num_labels: int, n_mels: int, n_mfcc: int = 20):
        super().__init__()
        self.register_buffer("cosines", torch.from_numpy(np.array(cosines(n_mels, n_mfcc))))
        self.blocks = nn.Sequential(
            SeparableBlock(n_mfcc, 96, (9, 1)),
            SeparableBlock(96, 128, (9, 1), stride=2),
            SeparableBlock(128, 128, (9, 1)),
            SeparableBlock(128, 128, (9, 1), stride=2),
            SeparableBlock(128, 128, (9, 1)),
        )
        self.head = _Head(128, num_labels)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Logits ``(batch, num_labels)``."""
        coefficients = windows.squeeze(1) @ self.cosines
        return self.head(self.blocks(coefficients.transpose(1, 2).unsqueeze(3)))


class _Head(nn.Module):
    def __init__(self, num_channels: int, num_labels: int):
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(2 * num_channels, num_labels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = torch.cat([images.mean(dim=(2, 3)), images.amax(dim=(2, 3))], dim=1)
        return self.linear(self.dropout(pooled))
