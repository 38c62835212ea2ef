"""Whether this machine multiplies in bfloat16 faster than in float32."""

import torch


def multiplies_in_bf16() -> bool:
    """Whether the GPU, or the CPU where there is none, has bfloat16 instructions.

    On a CPU those are AMX-BF16 or AVX512-BF16, as torch reports them. Without them bfloat16 is
    emulated and slower than float32.
    """
    if torch.accelerator.is_available():
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return cpu_multiplies_in_bf16()


def cpu_multiplies_in_bf16() -> bool:
    """Whether the CPU does, whatever else there is."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
