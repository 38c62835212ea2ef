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
class Choice:
    """A runtime and the precision it computes in."""

    runtime: str
    precision: str


#: The fastest first, as measured on x86-64 with AVX512-BF16 and one thread.
_FOR_LARGE = (
    Choice("openvino", "int8"),
    Choice("openvino", "bf16"),
    Choice("onnxruntime", "int8"),
    Choice("torch", "bf16"),
    Choice("onnxruntime", "fp32"),
    Choice("openvino", "fp32"),
    Choice("torch", "fp32"),
)
_FOR_SMALL = (
    Choice("onnxruntime", "fp32"),
    Choice("openvino", "fp32"),
    Choice("torch", "fp32"),
    Choice("openvino", "bf16"),
    Choice("torch", "bf16"),
    Choice("openvino", "int8"),
    Choice("onnxruntime", "int8"),
)
_FOR_GPU = (Choice("torch", "bf16"), Choice("torch", "fp32"))


def choose(runtime: str, precision: str, num_parameters: int, convertible: bool) -> Choice:
    """Settles ``auto``: the fastest of what is installed, fits the request and suits the model.

    Args:
        runtime: ``auto`` or a key of ``PRECISIONS``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``int8``.
        num_parameters: Size of the model.
        convertible: Whether the kind of model is one whose conversion is known to be exact; others
            run on torch.

    Raises:
        UserError: If runtime, precision and model do not go together.
        BackendUnavailableError: If what is asked for is not installed.
    """
    order: tuple[Choice, ...] = _FOR_LARGE if num_parameters >= LARGE_PARAMETERS else _FOR_SMALL
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
    if precision == "auto" and len(installed) > 1:
        return _computable(installed)
    return installed[0]


def missing_modules(choice: Choice, exported: bool = False) -> list[str]:
    """Modules that are not installed and needed to run it, and to make it unless it is exported."""
    wanted = _TO_RUN[choice.runtime]
    if choice.precision == "int8" and not exported:
        wanted += _TO_QUANTISE[choice.runtime]
    return [name for name in wanted if importlib.util.find_spec(name) is None]


def require_modules(choice: Choice, exported: bool = False) -> None:
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


def _computable(choices: list[Choice]) -> Choice:
    """The first whose precision the processor multiplies in; bfloat16 is emulated on others."""
    for choice in choices:
        if choice.precision != "bf16":
            return choice
        from inference.cpu_features import multiplies_in_bf16

        if multiplies_in_bf16():
            return choice
    return choices[-1]
