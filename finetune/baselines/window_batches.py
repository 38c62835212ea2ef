"""Batches of log-mel windows, each varied as another speaker, microphone and room would.

Features are computed once; every variation is a few tensor operations on a whole batch of them,
which costs a fraction of varying waveforms and taking their spectra again. One resampling of the
time-frequency plane gives speed, place in the window and vocal-tract length together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from inference.features import STANDARDISE_EPSILON, WindowSettings, squeeze

#: What lies beside a word before noise is added, in nepers below its peak; far below any floor.
NOTHING = -23.0
#: Longest word that is kept, in windows; longer ones are squeezed.
MAX_WINDOWS = 2
NEPERS_PER_DB = float(np.log(10.0) / 10.0)


@dataclass(frozen=True)
class VariationSettings:
    """Ranges to draw from.

    Attributes:
        speed: Rate of speech.
        vocal_tract: Factor on the frequency of formants (vocal-tract-length perturbation; Jaitly and
            Hinton 2013), on the mel axis, where it moves low bands less than high ones.
        equaliser_db: Standard deviation of a smooth random frequency response.
        low_pass_probability: Share that loses its highest bands.
        noise_probability: Share with audible background; the others have faint noise.
        noise_below_db: Depth of audible background below the loudest band; 20 dB are about 5 dB of
            signal-to-noise ratio over the whole word.
        faint_below_db: The same of faint noise.
        margin_frames: Most background left beside the word by an imperfect trim.
        num_masks: Masks of each kind (SpecAugment; Park et al. 2019, https://arxiv.org/abs/1904.08779).
        mask_frames: Longest mask over time.
        mask_bands: Widest mask over frequency.
    """

    speed: tuple[float, float] = (0.8, 1.25)
    vocal_tract: tuple[float, float] = (0.85, 1.15)
    equaliser_db: float = 4.0
    low_pass_probability: float = 0.15
    noise_probability: float = 0.5
    noise_below_db: tuple[float, float] = (20.0, 45.0)
    faint_below_db: tuple[float, float] = (45.0, 80.0)
    margin_frames: int = 8
    num_masks: int = 2
    mask_frames: int = 12
    mask_bands: int = 6


class WordBank:
    """Log-mel matrices of words of different lengths in one tensor, each relative to its peak.

    Args:
        bands: One matrix ``(num_frames, n_mels)`` per word, from ``inference.features.word_log_mel``.
        settings: The window they will be placed in.
    """

    def __init__(self, bands: Sequence[np.ndarray], settings: WindowSettings):
        self.settings = settings
        most = MAX_WINDOWS * settings.num_frames
        words = [squeeze(matrix, most) for matrix in bands]
        self.lengths = torch.tensor([len(word) for word in words])
        self.words = torch.full((len(words), most, settings.n_mels), NOTHING)
        for row, word in enumerate(words):
            self.words[row, : len(word)] = torch.from_numpy(word - word.max())

    def batch(
        self, rows: torch.Tensor, variation: VariationSettings, generator: torch.Generator
    ) -> torch.Tensor:
        """Varied windows ``(len(rows), 1, num_frames, n_mels)``, ready for the network."""
        draw = _Draws(len(rows), self.settings, generator)
        windows = _place(self.words[rows], self.lengths[rows], variation, draw)
        return _mask(standardise(windows, self.settings), variation, draw)


def standardise(windows: torch.Tensor, settings: WindowSettings) -> torch.Tensor:
    """The end of ``inference.features.log_mel_window``: floor, mean and standard deviation."""
    peak = windows.amax(dim=(1, 2), keepdim=True)
    windows = torch.maximum(windows, peak - settings.floor_db * NEPERS_PER_DB)
    mean = windows.mean(dim=(1, 2), keepdim=True)
    deviation = windows.std(dim=(1, 2), keepdim=True, correction=0)
    return ((windows - mean) / (deviation + STANDARDISE_EPSILON)).unsqueeze(1)


class _Draws:
    """Random numbers of one batch."""

    def __init__(self, size: int, settings: WindowSettings, generator: torch.Generator):
        self.size, self.num_frames, self.n_mels = size, settings.num_frames, settings.n_mels
        self.generator = generator

    def uniform(self, low: float, high: float) -> torch.Tensor:
        return torch.empty(self.size, 1).uniform_(low, high, generator=self.generator)

    def chance(self, probability: float) -> torch.Tensor:
        return self.uniform(0.0, 1.0) < probability

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(self.size, *shape, generator=self.generator)

    def curve(self, deviation: float) -> torch.Tensor:
        """A smooth random curve over the bands, ``(size, 1, n_mels)``."""
        corners = self.normal(1, 6) * deviation
        return functional.interpolate(corners, size=self.n_mels, mode="linear", align_corners=True)


def _place(
    words: torch.Tensor, lengths: torch.Tensor, variation: VariationSettings, draw: _Draws
) -> torch.Tensor:
    """Words played at another speed by another vocal tract, somewhere in the window, in noise."""
    window, n_mels = draw.num_frames, draw.n_mels
    length = lengths[:, None].float()
    speed = torch.maximum(draw.uniform(*variation.speed), length / window)
    start = draw.uniform(0.0, 1.0) * (window - length / speed)
    frame = torch.arange(window)[None]
    time = (frame - start) * speed
    band = torch.arange(n_mels)[None].float()
    # Piecewise linear, so that the highest band stays where it is.
    factor, knee = draw.uniform(*variation.vocal_tract), 0.75 * (n_mels - 1)
    rest = (n_mels - 1 - knee * factor) / (n_mels - 1 - knee)
    frequency = torch.where(band < knee, band * factor, n_mels - 1 - rest * (n_mels - 1 - band))
    grid = torch.stack(
        [
            ((2 * frequency + 1) / n_mels - 1)[:, None, :].expand(-1, window, -1),
            ((2 * time + 1) / words.shape[1] - 1)[:, :, None].expand(-1, -1, n_mels),
        ],
        dim=-1,
    )
    placed = functional.grid_sample(
        words[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]
    inside = (time > -1) & (time < length)
    placed = torch.where(inside[:, :, None], placed, NOTHING)
    placed = placed + draw.curve(variation.equaliser_db * NEPERS_PER_DB)
    cutoff = torch.where(draw.chance(variation.low_pass_probability), draw.uniform(0.6, 0.95), 2.0) * n_mels
    placed = placed - 8.0 * (band > cutoff)[:, None, :]
    margins = (draw.uniform(0.0, variation.margin_frames), draw.uniform(0.0, variation.margin_frames))
    noisy = (frame >= start - margins[0]) & (frame <= start + length / speed + margins[1])
    noise = torch.where(noisy[:, :, None], _noise(placed, variation, draw), NOTHING)
    return torch.logaddexp(placed, noise)


def _noise(windows: torch.Tensor, variation: VariationSettings, draw: _Draws) -> torch.Tensor:
    """Log-mel of coloured noise: a tilted smooth spectrum and the scatter of band energies."""
    audible = draw.chance(variation.noise_probability)
    below_db = torch.where(
        audible, draw.uniform(*variation.noise_below_db), draw.uniform(*variation.faint_below_db)
    )
    level = windows.amax(dim=(1, 2))[:, None] - below_db * NEPERS_PER_DB
    tilt = draw.uniform(-2.5, 1.0) * (torch.arange(draw.n_mels)[None] / (draw.n_mels - 1) - 0.5)
    spectrum = (level + tilt)[:, None, :] + draw.curve(0.5)
    return spectrum + 0.45 * draw.normal(draw.num_frames, draw.n_mels)


def _mask(windows: torch.Tensor, variation: VariationSettings, draw: _Draws) -> torch.Tensor:
    """Hides stretches of time and bands behind the mean."""
    for _ in range(variation.num_masks):
        for longest, size, shape in (
            (variation.mask_frames, draw.num_frames, (-1, 1, draw.num_frames, 1)),
            (variation.mask_bands, draw.n_mels, (-1, 1, 1, draw.n_mels)),
        ):
            width = draw.uniform(0.0, longest)
            first = draw.uniform(0.0, 1.0) * (size - width)
            place = torch.arange(size)[None]
            hidden = (place >= first) & (place < first + width)
            windows = windows.masked_fill(hidden.reshape(shape), 0.0)
    return windows
