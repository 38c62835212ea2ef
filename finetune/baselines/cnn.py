"""Fits a small network on log-mel windows, with one learning-rate cycle and averaged weights."""

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim import swa_utils
from tqdm import tqdm

from finetune.baselines.networks import LogMelDscnn, MfccCnn
from finetune.baselines.speech_embedding import N_MELS, NUM_FRAMES, SpeechEmbedding
from finetune.baselines.table import class_ids
from finetune.baselines.window_batches import VariationSettings, WordBank
from finetune.corpus.clip import Clip
from finetune.metrics import macro_f1
from finetune.soft_labels import SoftLabeller
from inference.backends.cnn import MODEL_NAME
from inference.cpu_features import cpu_multiplies_in_bf16
from inference.crop import CropContract, prepare
from inference.features import WindowSettings, log_mel_window, word_log_mel
from inference.files import write_json
from inference.vocabulary import vocabulary


@dataclass(frozen=True)
class FitSettings:
    """How a network learns.

    Attributes:
        num_steps: Optimizer steps.
        batch_size: Words of a step.
        learning_rate: Peak of the one cycle (Smith and Topin 2018, https://arxiv.org/abs/1708.07120).
        weight_decay: Of AdamW.
        mixup: Both parameters of the beta distribution of mixing weights (Zhang et al. 2018,
            https://arxiv.org/abs/1710.09412).
        label_smoothing: Probability spread over all labels (Szegedy et al. 2016).
        average: Time constant of the running mean of weights that is kept in the end, as a share of
            the steps.
        epochs: Times the history is written; an epoch is a share of the steps, not a pass.
        pretrained_rate: Learning rate of a network's ``pretrained`` layers, as a share of the others'.
        bf16: Whether to multiply in bfloat16 where the processor has the instructions: dense convolutions
            take two thirds of the time then, depthwise ones longer.
    """

    num_steps: int = 1500
    batch_size: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    mixup: float = 0.3
    label_smoothing: float = 0.1
    average: float = 1 / 15
    epochs: int = 10
    pretrained_rate: float = 0.125
    bf16: bool = False


@dataclass(frozen=True)
class NetworkRecipe:
    """What makes one network.

    Attributes:
        title: For the card.
        network: Built from the number of classes and of mel bands.
        window: What it looks at.
        settings: How it learns.
    """

    title: str
    network: Callable[[int, int], nn.Module]
    window: WindowSettings = field(default_factory=WindowSettings)
    settings: FitSettings = field(default_factory=FitSettings)


NETWORKS = {
    "mfcc-cnn": NetworkRecipe("Separable convolutions over MFCC maps", MfccCnn),
    "logmel-dscnn": NetworkRecipe("Depthwise-separable convolutions over log-mel windows", LogMelDscnn),
    "speech-embedding": NetworkRecipe(
        "Google's speech embedding, fine-tuned",
        SpeechEmbedding,
        # Its weights have seen fainter parts of speech than a network of few speakers should look at.
        WindowSettings(n_mels=N_MELS, num_frames=NUM_FRAMES, floor_db=60.0),
        FitSettings(num_steps=600, bf16=True),
    ),
}


@dataclass(frozen=True)
class FittedCnn:
    """A network ready to be asked or written.

    Attributes:
        network: In evaluation mode.
        window: What it looks at.
        contract: The crop it is made for.
        history: Loss, and accuracy on the validation clips if there are any, of each epoch.
        choices: Empty: everything is fixed beforehand.
    """

    network: nn.Module
    window: WindowSettings
    contract: CropContract
    history: list[dict[str, float]]
    choices: dict[str, float] = field(default_factory=dict)

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def probabilities(self, clips: Sequence[Clip]) -> np.ndarray:
        """Probabilities ``(num_clips, num_classes)``."""
        return _logits(self.network, _windows(clips, self.window, self.contract)).softmax(dim=1).numpy()

    def save(self, folder: Path) -> None:
        """Writes ``model.onnx`` and ``features.json``."""
        window = torch.zeros(2, 1, self.window.num_frames, self.window.n_mels)
        program = torch.onnx.export(
            self.network,
            (window,),
            input_names=["windows"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        # The exporter notes where each node comes from, with the paths of the machine it ran on.
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()
        program.model.metadata_props["num_parameters"] = str(self.num_parameters)
        program.save(folder / MODEL_NAME)
        write_json(folder / "features.json", asdict(self.window))


def fit_cnn(
    model: str,
    clips: Sequence[Clip],
    validation: Sequence[Clip],
    contract: CropContract,
    seed: int,
    num_steps: int | None = None,
    soft_labeller: SoftLabeller | None = None,
) -> FittedCnn:
    """Fits a network.

    The schedule is fixed beforehand and the last averaged weights are kept: validation clips draw the
    curve and choose nothing.

    Args:
        model: A key of ``NETWORKS``.
        clips: What to learn from; synthetic voices among them count like any other. Clips of the reject
            class make the network have one.
        validation: What to watch; may be empty.
        contract: The crop it is made for.
        seed: Seed of weights, order and variations.
        num_steps: Optimizer steps; the recipe's own number if None.
        soft_labeller: Hears each clip as it was recorded and adds to its label.
    """
    window, settings = NETWORKS[model].window, NETWORKS[model].settings
    settings = replace(settings, num_steps=num_steps or settings.num_steps)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # weights and dropout
    ids = class_ids()
    label_ids = [ids[clip.label] for clip in clips]
    num_classes = max(len(vocabulary().labels), max(label_ids) + 1)
    targets = torch.from_numpy(_targets(clips, label_ids, num_classes, soft_labeller))
    network = NETWORKS[model].network(num_classes, window.n_mels).to(memory_format=torch.channels_last)
    bar = tqdm(clips, desc="features", unit="clip", disable=None)
    bank = WordBank([_bands(clip, window, contract) for clip in bar], window)
    groups = _parameter_groups(network, settings)
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=settings.num_steps, pct_start=0.2
    )
    decay = 1.0 - 1.0 / max(settings.average * settings.num_steps, 1.0)
    averaged = swa_utils.AveragedModel(
        network, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay), use_buffers=True
    )
    watched = _windows(validation, window, contract)
    bf16 = settings.bf16 and cpu_multiplies_in_bf16()
    history: list[dict[str, float]] = []
    losses: list[float] = []
    for step in tqdm(range(1, settings.num_steps + 1), desc=model, unit="step", disable=None):
        rows = torch.randint(len(clips), (settings.batch_size,), generator=generator)
        windows = bank.batch(rows, VariationSettings(), generator)
        network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = _mixed_loss(network, windows, targets[rows], settings, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
        losses.append(loss.item())
        if step % max(settings.num_steps // settings.epochs, 1) == 0 or step == settings.num_steps:
            epoch = step * settings.batch_size / len(clips)
            record = {"step": step, "epoch": epoch, "loss": float(np.mean(losses))}
            history.append(record | _watch(averaged.module, watched, validation))
            losses.clear()
    return FittedCnn(copy.deepcopy(averaged.module).eval(), window, contract, history)


def _targets(
    clips: Sequence[Clip], label_ids: Sequence[int], num_classes: int, soft_labeller: SoftLabeller | None
) -> np.ndarray:
    """Probabilities to learn, float32 ``(num_clips, num_classes)``."""
    if soft_labeller is None:
        return np.eye(num_classes, dtype=np.float32)[label_ids]
    pairs = tqdm(zip(clips, label_ids, strict=True), "soft labels", len(clips), unit="clip", disable=None)
    return np.concatenate([soft_labeller.label([clip.waveform()], [label]) for clip, label in pairs])


def _parameter_groups(network: nn.Module, settings: FitSettings) -> list[dict[str, Any]]:
    """What was trained before learns more slowly than what starts from random weights."""
    pretrained = list(getattr(network, "pretrained", nn.Module()).parameters())
    known = set(map(id, pretrained))
    fresh = [parameter for parameter in network.parameters() if id(parameter) not in known]
    rates = ((fresh, 1.0), (pretrained, settings.pretrained_rate))
    return [{"params": part, "lr": settings.learning_rate * rate} for part, rate in rates if part]


def _mixed_loss(
    network: nn.Module,
    windows: torch.Tensor,
    targets: torch.Tensor,
    settings: FitSettings,
    generator: torch.Generator,
) -> torch.Tensor:
    # Beta(a, a) from two gamma draws of the run's generator.
    concentration = torch.full((2,), settings.mixup)
    draws = torch._standard_gamma(concentration, generator=generator).clamp_min(1e-12)
    weight = float(draws[0] / draws.sum())
    partners = torch.randperm(len(windows), generator=generator)
    mixed = weight * windows + (1 - weight) * windows[partners]
    logits = network(mixed.contiguous(memory_format=torch.channels_last))
    loss = functools.partial(functional.cross_entropy, logits, label_smoothing=settings.label_smoothing)
    return loss(weight * targets + (1 - weight) * targets[partners])


def _watch(network: nn.Module, windows: torch.Tensor, clips: Sequence[Clip]) -> dict[str, float]:
    if not clips:
        return {}
    logits = _logits(network, windows)
    references = [vocabulary().label2id[clip.label] for clip in clips]
    answers = logits[:, : len(vocabulary().labels)].argmax(dim=1).tolist()
    return {
        "eval_loss": float(functional.cross_entropy(logits, torch.tensor(references))),
        "eval_accuracy": float(np.mean(np.array(answers) == references)),
        "eval_macro_f1": macro_f1(answers, references),
    }


@torch.inference_mode()
def _logits(network: nn.Module, windows: torch.Tensor) -> torch.Tensor:
    network.eval()
    batches = windows.contiguous(memory_format=torch.channels_last).split(250)
    return torch.cat([network(batch) for batch in batches])


def _windows(clips: Sequence[Clip], window: WindowSettings, contract: CropContract) -> torch.Tensor:
    """What the backend would show the network, ``(num_clips, 1, num_frames, n_mels)``."""
    rows = [log_mel_window(prepare(clip.waveform(), contract), window) for clip in clips]
    return torch.from_numpy(np.stack(rows)).unsqueeze(1) if rows else torch.empty(0)


@functools.cache
def _bands(clip: Clip, window: WindowSettings, contract: CropContract) -> np.ndarray:
    """Log-mel of a clip; every fold asks for it again."""
    return word_log_mel(prepare(clip.waveform(), contract), window)
