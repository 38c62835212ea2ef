"""Shortcuts for training on clips of a second or less, where a processor has no time to waste.

None changes what can be learnt: parameters, their names and the saved checkpoint stay the library's.
"""

import ctypes
from types import MethodType

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

#: Dropout is decided by comparing 16 random bits, four of which fit a draw of 64.
_LANES, _LEVELS = 4, 2**16
#: Names of malloc.h, and how much more than asked for the heap grows at a time.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD_BYTES = 2**28


def shorten(model: nn.Module) -> None:
    """Replaces what costs most of a step beside the matrix products, on a processor.

    Args:
        model: Holds an encoder of transformers; its modules are changed in place.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            # With dropout torch has no fused attention on a processor, and what it falls back to converts
            # bfloat16 to float32 and back.
            module.set_attn_implementation("eager")
        if isinstance(module, nn.Conv1d) and 0 < 2 * int(module.padding[0]) <= module.kernel_size[0]:
            module._conv_forward = MethodType(_convolve_as_image, module)
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, BulkDropout(child.p).train(child.training))


def keep_freed_memory() -> None:
    """Keeps what a step frees for the next one, where the C library is glibc.

    By default each large tensor is mapped anew and returned, and the system clears every page of it,
    which takes some hundredths of the processor time of a step with ``facebook/wav2vec2-base``.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # mallopt(3)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)


def _convolve_as_image(conv: nn.Conv1d, frames: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution, channels innermost in memory and without the taps that meet nothing but padding.

    The positional convolution of wav2vec2 has 128 taps, for a second and more on either side; a clip of
    0.4 s is 20 frames. oneDNN is twice as fast on its narrow groups of channels where these lie together,
    a layout that torch knows for images only.
    """
    padding = int(conv.padding[0])
    idle = max(padding - frames.shape[-1], 0)
    weight = weight[..., idle : weight.shape[-1] - idle]
    image, kernel = (
        tensor.unsqueeze(2).contiguous(memory_format=torch.channels_last) for tensor in (frames, weight)
    )
    return nn.functional.conv2d(
        image,
        kernel,
        bias,
        stride=(1, conv.stride[0]),
        padding=(0, padding - idle),
        dilation=(1, conv.dilation[0]),
        groups=conv.groups,
    ).squeeze(2)


class BulkDropout(nn.Dropout):
    """Dropout whose random numbers are drawn four at a time.

    torch draws one number for each element, one after the other on a single core, on processors of
    other makers than Intel. The share that is dropped is a multiple of 1/65536 here.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Zeroes a share ``p`` of the elements and scales the others up, in training."""
        if not self.training or not self.p or input.device.type != "cpu":
            return super().forward(input)
        draws = torch.empty(-(-input.numel() // _LANES), dtype=torch.int64).random_(-(2**63), None)
        lanes = draws.view(torch.int16)[: input.numel()].view(input.shape)
        kept = lanes >= round(self.p * _LEVELS) - _LEVELS // 2
        # As 8-bit numbers, whose conversion is vectorised; that of booleans is not.
        return input * kept.view(torch.int8).to(input.dtype).div_(1 - self.p)
