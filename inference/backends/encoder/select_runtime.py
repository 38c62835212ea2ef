"""What can run a waveform classifier, and which of it is best on this machine."""

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from inference.errors import BackendUnavailableError, UserError

#: Runtime -> the precisions it computes in.
PRECISIONS: dict[str, tuple[str, ...]] = {
    "openvino": ("fp32", "bf16", "int8"),
    "onnxruntime": ("fp32", "int8"),
    "torch": ("fp32", "bf16"),
}
#: Runtime -> modules that run a converted checkpoint; what int8 needs besides to be made.
_TO_RUN = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime",), "torch": ("torch", "transformers")}
_TO_QUANTISE = {"openvino": ("nncf",), "onnxruntime": ("onnx",)}

#: From here on the time of one clip is that of reading the weights, and fewer bytes are less time.
LARGE_PARAMETERS = 20_000_000


@dataclass(frozen=True)
class RuntimeChoice:
    """A runtime and the precision it computes in."""

    runtime: str
    precision: str

    def __str__(self) -> str:
        return f"{self.runtime}-{self.precision}"

    @classmethod
    def parse(cls, text: str) -> "RuntimeChoice":
        """The choice that reads like this."""
        return cls(*text.split("-"))


#: Which are worth a trial, the most promising first, as timed on x86-64 with and without AVX512-BF16.
_FOR_LARGE = (
    RuntimeChoice("openvino", "int8"),
    RuntimeChoice("onnxruntime", "int8"),
    RuntimeChoice("openvino", "bf16"),
    RuntimeChoice("onnxruntime", "fp32"),
    RuntimeChoice("openvino", "fp32"),
    RuntimeChoice("torch", "bf16"),
    RuntimeChoice("torch", "fp32"),
)
_FOR_SMALL = (
    RuntimeChoice("onnxruntime", "fp32"),
    RuntimeChoice("openvino", "fp32"),
    RuntimeChoice("torch", "fp32"),
    RuntimeChoice("openvino", "bf16"),
    RuntimeChoice("torch", "bf16"),
    RuntimeChoice("openvino", "int8"),
    RuntimeChoice("onnxruntime", "int8"),
)
_FOR_GPU = (RuntimeChoice("torch", "bf16"), RuntimeChoice("torch", "fp32"))
#: So many are tried: each must be converted first.
MAX_CANDIDATES = 3


def candidates(
    runtime: str, precision: str, num_parameters: int, convertible: bool
) -> tuple[RuntimeChoice, ...]:
    """What can answer a request on this machine: one choice, or a few of which the fastest is to be kept.

    Args:
        runtime: ``auto`` or a key of ``PRECISIONS``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``int8``.
        num_parameters: Size of the model.
        convertible: Whether the kind of model is one whose conversion is known to be exact; others
            run on torch.

    Returns:
        At most ``MAX_CANDIDATES``, the most promising first. Torch stands alone, or last.

    Raises:
        UserError: If runtime, precision and model do not go together.
        BackendUnavailableError: If what is asked for is not installed.
    """
    is_large = num_parameters >= LARGE_PARAMETERS
    order: tuple[RuntimeChoice, ...] = _FOR_LARGE if is_large else _FOR_SMALL
    if runtime in ("auto", "torch") and has_gpu():
        order = _FOR_GPU
    asked = [
        choice
        for choice in order
        if runtime in ("auto", choice.runtime) and precision in ("auto", choice.precision)
    ]
    possible = [choice for choice in asked if convertible or choice.runtime == "torch"]
    if not asked:
        allowed = ", ".join(PRECISIONS[runtime]) if runtime != "auto" else "fp32, bf16"
        raise UserError(f"runtime={runtime} has no precision {precision} here; choose one of: {allowed}.")
    if not possible:
        raise UserError("this kind of encoder runs on torch only: use --runtime torch --precision auto.")
    installed = [choice for choice in possible if not missing_modules(choice)]
    if not installed:
        require_modules(possible[0])
    if precision == "auto":
        promising = [choice for choice in installed if is_large or choice.precision == "fp32"] or installed
        computed = [choice for choice in promising if choice.precision != "bf16" or _multiplies_in_bf16()]
        installed = computed or promising
    return tuple(_before_torch(installed)[:MAX_CANDIDATES])


def _before_torch(choices: list[RuntimeChoice]) -> list[RuntimeChoice]:
    """Those that need no torch once they are converted; torch where there is nothing else, or on a GPU."""
    if choices[0].runtime == "torch":
        return choices[:1]
    return [choice for choice in choices if choice.runtime != "torch"]


def missing_modules(choice: RuntimeChoice, exported: bool = False) -> list[str]:
    """Modules that are not installed and needed to run it, and to make it unless it is exported."""
    wanted = _TO_RUN[choice.runtime]
    if choice.precision == "int8" and not exported:
        wanted += _TO_QUANTISE[choice.runtime]
    return [name for name in wanted if importlib.util.find_spec(name) is None]


def require_modules(choice: RuntimeChoice, exported: bool = False) -> None:
    """BackendUnavailableError with the command that installs what is missing."""
    missing = missing_modules(choice, exported)
    if missing:
        raise BackendUnavailableError(
            f"{choice.runtime} in {choice.precision} needs {', '.join(missing)}, which is not installed.",
            "Install it: pip install 'spoken-digits[export]', or use --runtime auto.",
        )


def has_gpu() -> bool:
    """Whether torch can use an NVIDIA GPU; torch is only imported where a driver is installed."""
    if not (Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi")):
        return False
    import torch

    return torch.cuda.is_available()


def _multiplies_in_bf16() -> bool:
    from inference.cpu_features import multiplies_in_bf16

    return multiplies_in_bf16()
