"""What this machine's processor can do, as far as the choice of a precision depends on it."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

#: Prefixes of the instruction sets by which libraries choose their kernels: x86-64, then ARM.
_KERNEL_SETS = ("avx", "amx", "f16c", "fma", "asimd", "bf16", "i8mm", "sve")

#: What they are called, and what is part of every name of such an instruction set.
_MARKS = {
    "AVX2": "avx2",
    "AVX-512": "avx512f",
    "VNNI": "vnni",
    "BF16": "bf16",
    "AMX": "amx",
    "NEON": "asimd",
    "I8MM": "i8mm",
    "SVE": "sve",
}


def instruction_sets() -> tuple[str, ...]:
    """Vector and matrix instructions of the processor, such as ``avx2``, ``avx512_vnni``, ``amx_int8``.

    Where the system does not list them, the processor's name stands for them. A limit that is set for
    oneDNN by ``ONEDNN_MAX_CPU_ISA`` counts, because answers depend on it too.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
    limits = (f"onednn<={limit.lower()}",) if limit else ()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return (platform.machine(), platform.processor(), *limits)
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return (*sorted(flag for flag in flags.split() if flag.startswith(_KERNEL_SETS)), *limits)


def name_instruction_sets(found: Sequence[str]) -> str:
    """The ones that decide how fast and in which precision a network runs: "AVX2, AVX-512, VNNI, AMX".

    Args:
        found: As ``instruction_sets`` gives them.
    """
    named = (name for name, mark in _MARKS.items() if any(mark in one for one in found))
    limits = (one for one in found if one.startswith("onednn"))
    return ", ".join((*named, *limits))


def multiplies_in_bf16() -> bool:
    """Whether the GPU, or the CPU where there is none, has bfloat16 instructions.

    On a CPU those are AMX-BF16 or AVX512-BF16, as torch reports them. Without them bfloat16 is
    emulated and slower than float32.
    """
    import torch

    if torch.accelerator.is_available():
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return cpu_multiplies_in_bf16()


def cpu_multiplies_in_bf16() -> bool:
    """Whether the CPU does, whatever else there is."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
