"""What a backend does to a waveform before and after its network, as operations that ONNX has.

Each module does what the function of numpy does that its docstring names, for one waveform; in numpy it is
faster, as ONNX it runs where there is no Python. Lengths are tensors, so that a trace holds for all.
"""

import io
import warnings

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor

from inference.audio import MIN_SECONDS, SAMPLING_RATE
from inference.backends.encoder import whisper_log_mel
from inference.backends.encoder.input_values import EPSILON
from inference.backends.mfcc import LinearClassifier, places_in_pairs
from inference.crop import CropContract
from inference.features import (
    ABOVE_FLOOR_DB,
    BELOW_PEAK_AT_LEAST_DB,
    BELOW_PEAK_DB,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    LEAST_ENERGY,
    LEAST_POWER,
    N_FFT,
    PRE_EMPHASIS,
    STANDARDISE_EPSILON,
    TRIM_MARGIN_MS,
    BandSettings,
    FeatureSettings,
    WindowSettings,
    cosines,
    mel_weights,
    povey_window,
)


def trace(
    module: nn.Module, example: Tensor, inputs: list[str], outputs: list[str], opset: int
) -> onnx.ModelProto:
    """A module of this file as an ONNX model; the last axis of a waveform may have any length."""
    content = io.BytesIO()
    is_waveform = isinstance(module, PreparedWaveform)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            module,
            (example,),
            content,
            dynamo=False,
            opset_version=opset,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={inputs[0]: {1: "samples"}} if is_waveform else None,
        )
    return onnx.load_from_string(content.getvalue())


class PreparedWaveform(nn.Module):
    """``inference.crop.prepare``: the least duration; what is shorter than any clip is padded too."""

    def __init__(self, contract: CropContract):
        super().__init__()
        self.least = max(contract.min_ms * SAMPLING_RATE // 1000, round(MIN_SECONDS * SAMPLING_RATE))

    def forward(self, waveform: Tensor) -> Tensor:
        """``(1, samples)`` to ``(num_samples,)``."""
        samples = waveform[0]
        length = shape_as_tensor(samples)[0]
        return torch.cat([samples, torch.zeros(self.least)])[: length.clamp_min(self.least)]


class NormalisedWaveform(PreparedWaveform):
    """What an encoder of raw waveforms is given: see ``input_values.normalised``.

    Args:
        contract: The crop it is made for.
        normalises: Whether it wants zero mean and unit variance.
    """

    def __init__(self, contract: CropContract, normalises: bool):
        super().__init__(contract)
        self.normalises = normalises

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """``(1, samples)`` to the same, and the number of samples ``(1,)``."""
        samples = super().forward(waveform)
        if self.normalises:
            centred = samples - samples.mean()
            samples = centred / (centred.square().mean() + EPSILON).sqrt()
        return samples[None], shape_as_tensor(samples)


class WhisperWindow(PreparedWaveform):
    """``whisper_log_mel``."""

    def __init__(self, contract: CropContract, n_mels: int, num_frames: int):
        super().__init__(contract)
        frame, hop = whisper_log_mel.FRAME_SAMPLES, whisper_log_mel.HOP_SAMPLES
        size = num_frames * hop
        angles = 2 * np.pi / frame * np.outer(np.arange(frame), np.arange(frame // 2 + 1))
        waves = np.hstack([np.cos(angles), np.sin(angles)]) * whisper_log_mel.periodic_hann()[:, None]
        places = np.pad(np.arange(size), frame // 2, mode="reflect")
        self.size = size
        self.register_buffer("places", torch.from_numpy(places).unfold(0, frame, hop)[:num_frames])
        self.register_buffer("waves", torch.from_numpy(waves.astype(np.float32)))
        self.register_buffer("weights", torch.from_numpy(whisper_log_mel.slaney_weights(n_mels).copy()))

    def forward(self, waveform: Tensor) -> Tensor:
        """``(1, samples)`` to ``(1, n_mels, num_frames)``."""
        window = torch.cat([super().forward(waveform), torch.zeros(self.size)])[: self.size]
        real, imaginary = (window[self.places] @ self.waves).chunk(2, dim=1)
        log_power = ((real.square() + imaginary.square()) @ self.weights).clamp_min(1e-10).log10().T
        return ((torch.maximum(log_power, log_power.max() - whisper_log_mel.RANGE) + 4.0) / 4.0)[None]


class WordBands(PreparedWaveform):
    """``inference.features.word_log_mel``."""

    def __init__(self, contract: CropContract, settings: BandSettings):
        super().__init__(contract)
        self.settings = settings
        weights, window = mel_weights(settings), povey_window().astype(np.float64)
        angles = 2 * np.pi / N_FFT * np.outer(np.arange(FRAME_SAMPLES), np.arange(len(weights)))
        waves = np.hstack([np.cos(angles), np.sin(angles)]) * window[:, None]
        # The window begins with zero, so that the first sample of a frame needs none before it.
        self.register_buffer("waves", torch.from_numpy(waves[1:].astype(np.float32)))
        self.register_buffer("weights", torch.from_numpy(weights.copy()))

    def forward(self, waveform: Tensor) -> Tensor:
        """``(1, samples)`` to ``(num_frames, n_mels)``."""
        samples = super().forward(waveform)
        return self._log_mel(self._trimmed(samples) if self.settings.trim else samples)

    def _trimmed(self, samples: Tensor) -> Tensor:
        """``trim_silence``."""
        length = shape_as_tensor(samples)[0]
        num_frames = (length - FRAME_SAMPLES) // HOP_SAMPLES + 1
        frames = samples[_frame_places(num_frames)]
        level_db = 10.0 * torch.log10(frames.square().sum(1) / FRAME_SAMPLES + LEAST_POWER)
        before = torch.cat([level_db[:1], level_db[:-1]])
        after = torch.cat([level_db[1:], level_db[-1:]])
        low, high = torch.minimum(before, after), torch.maximum(before, after)
        level_db = torch.maximum(low, torch.minimum(level_db, high))
        peak = level_db.max()
        ordered = level_db.sort().values
        tenth, rest = (num_frames - 1) // 10, ((num_frames - 1) % 10).float() / 10
        floor = ordered[tenth] * (1.0 - rest) + ordered[torch.minimum(tenth + 1, num_frames - 1)] * rest
        highest = torch.minimum(floor + ABOVE_FLOOR_DB, peak - BELOW_PEAK_AT_LEAST_DB)
        sounding = level_db > torch.maximum(peak - BELOW_PEAK_DB, highest)
        starts = torch.arange(num_frames) * HOP_SAMPLES
        margin = TRIM_MARGIN_MS * SAMPLING_RATE // 1000
        first = torch.where(sounding, starts, length).min() - margin
        last = torch.where(sounding, starts, -FRAME_SAMPLES).max() + FRAME_SAMPLES + margin
        return samples[first.clamp_min(0) : torch.minimum(last, length)]

    def _log_mel(self, samples: Tensor) -> Tensor:
        """``log_mel``: ``(num_frames, n_mels)``."""
        length = shape_as_tensor(samples)[0]
        num_frames = (length + HOP_SAMPLES // 2) // HOP_SAMPLES
        places = _frame_places(num_frames) - (FRAME_SAMPLES - HOP_SAMPLES) // 2
        places = torch.where(places < 0, -1 - places, places)
        frames = samples[torch.minimum(places, 2 * length - 1 - places)]
        frames = frames - frames.mean(1, keepdim=True)
        real, imaginary = ((frames[:, 1:] - PRE_EMPHASIS * frames[:, :-1]) @ self.waves).chunk(2, dim=1)
        energies = (real.square() + imaginary.square()) @ self.weights
        return self._at_least_floor(energies.clamp_min(LEAST_ENERGY).log())

    def _at_least_floor(self, bands: Tensor) -> Tensor:
        return torch.maximum(bands, self._floor(bands))

    def _floor(self, bands: Tensor) -> Tensor:
        return bands.max() - self.settings.floor_db * float(np.log(10.0)) / 10.0


class WordWindow(WordBands):
    """``inference.features.log_mel_window``."""

    settings: WindowSettings

    def forward(self, waveform: Tensor) -> Tensor:
        """``(1, samples)`` to ``(1, 1, num_frames, n_mels)``."""
        return self._placed(super().forward(waveform))[None, None]

    def _placed(self, bands: Tensor) -> Tensor:
        """The word in the middle of the window, or squeezed into it, standardised."""
        width, length = self.settings.num_frames, shape_as_tensor(bands)[0]
        rows = torch.arange(width)
        is_long = length > width
        # Where a row comes from, in parts of a frame: linspace(0, length - 1, width) of a long word.
        parts = torch.where(is_long, rows * (length - 1), (rows - (width - length) // 2) * (width - 1))
        inside = (parts >= 0) & (parts <= (length - 1) * (width - 1))
        parts = torch.where(inside, parts, 0)
        lower = parts // (width - 1)
        share = (parts % (width - 1)).float()[:, None] / (width - 1)
        window = bands[lower] * (1.0 - share) + bands[torch.minimum(lower + 1, length - 1)] * share
        window = torch.where(inside[:, None], window, self._floor(bands))
        centred = window - window.mean()
        return centred / (centred.square().mean().sqrt() + STANDARDISE_EPSILON)


class WordStatistics(WordBands):
    """``inference.features.mfcc_statistics``."""

    settings: FeatureSettings

    def forward(self, waveform: Tensor) -> Tensor:
        """``(1, samples)`` to ``(1, num_statistics)``."""
        bands = super().forward(waveform)
        level = bands.mean(1, keepdim=True)
        mfccs = bands @ torch.from_numpy(cosines(self.settings.n_mels, self.settings.n_mfcc))
        static = torch.cat([level - level.max(), mfccs], dim=1)
        first, last = static[:1], static[-1:]
        padded = torch.cat([first, first, static, last, last])
        slopes = (padded[3:-1] - padded[1:-3] + 2.0 * (padded[4:] - padded[:-4])) / 10.0
        frames = torch.cat([static, slopes], dim=1)
        mean, length = frames.mean(0), shape_as_tensor(frames)[0]
        deviation = (frames - mean).square().mean(0).sqrt()
        segments = (self._segment_weights(length) @ frames).reshape(-1)
        parts = [mean, deviation, frames.amin(0), frames.amax(0), segments, length.float().log()[None]]
        return torch.cat(parts)[None]

    def _segment_weights(self, length: Tensor) -> Tensor:
        """``inference.features.segment_weights``."""
        steps = self.settings.num_segments - 1
        places = (torch.arange(length) + 0.5) / length * steps
        reach = (steps / length).clamp_min(1.0)
        weights = (reach - (places - torch.arange(steps + 1.0)[:, None]).abs()).clamp_min(0.0)
        return weights / weights.sum(1, keepdim=True)


class StatisticsClassifier(nn.Module):
    """``LinearClassifier`` or ``KernelClassifier`` of ``inference.backends.mfcc``."""

    def __init__(self, classifier: LinearClassifier):
        super().__init__()
        self.arrays = {name: torch.from_numpy(array.copy()) for name, array in classifier.arrays().items()}
        self.places = [torch.from_numpy(places) for places in places_in_pairs(classifier.bias.size)]

    def forward(self, statistics: Tensor) -> Tensor:
        """``(1, num_statistics)`` to logits ``(1, num_classes)``."""
        rows = (statistics - self.arrays["mean"]) @ self.arrays["projection"]
        vectors = self.arrays.get("support_vectors")
        if vectors is None:
            return rows @ self.arrays["weights"] + self.arrays["bias"]
        squares = rows.square().sum(1, keepdim=True) + vectors.square().sum(1)
        kernel = torch.exp(self.arrays["gamma"] * (2.0 * rows @ vectors.T - squares))
        margins = kernel @ self.arrays["weights"] + self.arrays["bias"]
        either, second = self.places
        return margins.clamp_max(0.0) @ either - margins @ second


def _frame_places(num_frames: Tensor) -> Tensor:
    """The sample that each place of each frame holds, ``(num_frames, FRAME_SAMPLES)``."""
    return torch.arange(num_frames)[:, None] * HOP_SAMPLES + torch.arange(FRAME_SAMPLES)


class Probabilities(nn.Module):
    """From logits to probabilities of the labels, and that of no label if the model has such a class."""

    def __init__(self, temperature: float, num_labels: int):
        super().__init__()
        self.temperature, self.num_labels = temperature, num_labels

    def forward(self, logits: Tensor) -> tuple[Tensor, ...]:
        """``(1, num_classes)`` to ``(1, num_labels)``, and ``(1,)``."""
        probabilities = (logits / self.temperature).softmax(1)
        labels = probabilities[:, : self.num_labels]
        return (labels, probabilities[:, -1]) if logits.shape[1] > self.num_labels else (labels,)
