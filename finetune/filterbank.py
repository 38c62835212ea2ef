"""A first layer that hears like an ear before it has learned anything.

From random weights a raw-waveform encoder spends most of a small corpus on finding out what a
frequency is. Started as a mel filter bank it spends it on words; the filters go on learning
(Zeghidour et al. 2018, "Learning filterbanks from raw speech for phone recognition").
"""

import numpy as np
import torch
from transformers import PreTrainedModel

from inference.audio import SAMPLING_RATE
from inference.errors import CheckpointError

LOWEST_HZ = 80.0
HIGHEST_HZ = 7000.0
#: Filters of one band: cosine and sine, each with both signs. After an activation that cuts off
#: what is negative, their sum is the band's amplitude whatever the phase.
PHASES = 4


def start_as_filterbank(model: PreTrainedModel) -> None:
    """Sets the weights of a classifier's first convolution to band-pass filters on the mel scale.

    Raises:
        CheckpointError: If the model has no convolution over waveforms, or one too narrow.
    """
    convolution = next((part for part in model.modules() if isinstance(part, torch.nn.Conv1d)), None)
    if convolution is None or convolution.in_channels != 1 or convolution.out_channels % PHASES:
        raise CheckpointError(
            f"{type(model).__name__} does not start with a convolution over waveforms of a multiple of "
            f"{PHASES} channels, which --filterbank_start needs."
        )
    filters = mel_filters(convolution.out_channels // PHASES, convolution.kernel_size[0])
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(filters)[:, None, :])


def mel_filters(num_bands: int, num_taps: int) -> np.ndarray:
    """Windowed cosines and sines, evenly spaced in mel; ``(PHASES * num_bands, num_taps)``.

    Higher bands are louder by 6 dB an octave, as speech is weaker there.
    """
    # The mel scale of the HTK book, section 5.4.
    lowest, highest = 1127.0 * np.log1p(np.array([LOWEST_HZ, HIGHEST_HZ]) / 700.0)
    centres = 700.0 * np.expm1(np.linspace(lowest, highest, num_bands) / 1127.0)
    time = (np.arange(num_taps) - (num_taps - 1) / 2) / SAMPLING_RATE
    widths_hz = np.gradient(centres)[:, None]
    # A Gaussian whose spectrum falls to a half where the neighbours' spectra do.
    spread = np.sqrt(2 * np.log(2)) / (np.pi * widths_hz)
    window = np.exp(-0.5 * (time / spread) ** 2) * np.hanning(num_taps + 2)[1:-1]
    window *= centres[:, None] / window.sum(axis=1, keepdims=True) / centres.mean()
    phase = 2 * np.pi * centres[:, None] * time
    cosine, sine = window * np.cos(phase), window * np.sin(phase)
    return np.concatenate([cosine, -cosine, sine, -sine]).astype(np.float32)
