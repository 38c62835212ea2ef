"""A checkpoint as one torch module whose padded batches answer like their clips alone."""

from collections.abc import Callable
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForAudioClassification, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from inference.backends.encoder.checkpoint import MADE_BY, EncoderCheckpoint
from inference.errors import CheckpointError


def load_classifier(checkpoint: EncoderCheckpoint) -> "EncoderClassifier":
    """Reads the weights of a checkpoint folder.

    Raises:
        CheckpointError: If the library refuses it or arrays are missing.
    """
    folder = checkpoint.folder
    disable_progress_bar()  # a bar for loading one file clutters every output
    try:
        # safetensors only: a pickled weight file could run code.
        model, loading = AutoModelForAudioClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{folder} cannot be loaded: {reason} Make it: {MADE_BY}") from error
    if loading["missing_keys"] or loading["mismatched_keys"]:
        # The library would fill the gaps with random weights.
        raise CheckpointError(
            f"{folder}: the weights lack {len(loading['missing_keys'])} arrays and "
            f"{len(loading['mismatched_keys'])} have another shape; restore it or make it: {MADE_BY}"
        )
    return EncoderClassifier(model, checkpoint.pads_exactly, checkpoint.log_mel_shape)


class EncoderClassifier(nn.Module):
    """Waveforms in, logits out; what is beyond a clip's own samples has no influence.

    Encoders with a group norm ("wav2vec2-base") were trained without an attention mask and are
    usually run one by one, because zeros behind a clip change the statistics of that norm. Here the
    norm counts a clip's own frames only, so that both kinds can be padded.

    Args:
        model: A classifier of raw waveforms.
        pads_exactly: Whether the kind of encoder keeps padding out where it is masked.
        log_mel_shape: ``(n_mels, num_frames)`` if it takes windows of log-mel instead.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        pads_exactly: bool = True,
        log_mel_shape: tuple[int, int] | None = None,
    ):
        super().__init__()
        self.log_mel_shape = log_mel_shape
        self.model: Any = model
        self.pads_exactly = pads_exactly
        self._norms: list[_ClipNorm] = []
        self.eval()
        if not pads_exactly:
            return
        encoder: Any = model.base_model
        self._encoder = encoder
        for layer in encoder.feature_extractor.conv_layers:
            if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
                layer.layer_norm = _ClipNorm(layer.layer_norm, layer.conv)
                self._norms.append(layer.layer_norm)
        part: Any
        for part in (model, encoder):
            # The library's own builds the mask by assignments that exporters turn into slow scatters.
            part._get_feature_vector_attention_mask = self._frame_mask

    def forward(self, input_values: Tensor, num_samples: Tensor | None = None) -> Tensor:
        """Classifies a batch.

        Args:
            input_values: ``(batch, max_samples)``, normalised, padded with zeros at the end; or log-mel
                ``(batch, n_mels, num_frames)``.
            num_samples: Int64, ``(batch,)``: each clip's own length; None if none is padded.

        Returns:
            Logits, ``(batch, num_labels)``.
        """
        for norm in self._norms:
            norm.num_samples = num_samples
        if self.log_mel_shape is not None:
            return self.model(input_features=input_values).logits
        with _AssignmentByMask():
            # The mask is made from the lengths by _frame_mask, so they may stand in its place.
            return self.model(input_values=input_values, attention_mask=num_samples).logits

    def example(self) -> tuple[Tensor, ...]:
        """Arguments of ``forward`` that exporters trace it with."""
        if self.log_mel_shape is not None:
            return (torch.randn(2, *self.log_mel_shape),)
        return torch.randn(2, 16_000), torch.tensor([16_000, 12_000])

    def _frame_mask(self, num_frames: int, num_samples: Tensor, add_adapter: bool | None = None) -> Tensor:
        lengths = self._encoder._get_feat_extract_output_lengths(num_samples)
        return torch.arange(num_frames, device=lengths.device)[None, :] < lengths[:, None]


class _ClipNorm(nn.Module):
    """A group norm of one channel per group that counts the frames of the clip itself."""

    def __init__(self, norm: nn.GroupNorm, conv: nn.Conv1d):
        super().__init__()
        assert norm.num_groups == norm.num_channels
        self.norm: nn.GroupNorm = norm
        self.kernel_size, self.stride = conv.kernel_size[0], conv.stride[0]
        self.num_samples: Tensor | None = None

    def forward(self, hidden_states: Tensor) -> Tensor:
        if self.num_samples is None:
            return self.norm(hidden_states)
        values = hidden_states.float()  # a mean of thousands of values, in bfloat16, would be coarse
        num_frames = ((self.num_samples - self.kernel_size) // self.stride + 1)[:, None, None]
        frames = torch.arange(values.shape[-1], device=values.device)
        share = (frames[None, None, :] < num_frames).float() / num_frames.float()
        centred = values - (values * share).sum(-1, keepdim=True)
        variance = (centred.square() * share).sum(-1, keepdim=True)
        scale = self.norm.weight[:, None].float() * torch.rsqrt(variance + self.norm.eps)
        return (centred * scale + self.norm.bias[:, None].float()).to(hidden_states.dtype)


class _AssignmentByMask(TorchFunctionMode):
    """``x[mask] = value`` as a fill: the same result, and exporters write it as one operation."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.__setitem__ and isinstance(args[1], Tensor) and args[1].dtype == torch.bool:
            return args[0].masked_fill_(args[1], args[2])
        return func(*args, **(kwargs or {}))
