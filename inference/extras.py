"""Which extra of this project brings a package, for whoever lacks it.

The core recognises files and listens; what trains, measures and serves comes with extras, as
``pyproject.toml`` lists them.
"""

import importlib.util

from inference.errors import BackendUnavailableError

#: Top-level module -> the smallest extra that brings it.
EXTRA_OF_MODULE = {
    "PIL": "app",
    "anyio": "app",
    "fastapi": "app",
    "gradio": "app",
    "prometheus_client": "app",
    "starlette": "app",
    "uvicorn": "app",
    "wyoming": "wyoming",
    "ctranslate2": "whisper",
    "faster_whisper": "whisper",
    "filelock": "whisper",
    "huggingface_hub": "wav2vec2",
    "onnx_ir": "wav2vec2",
    "onnxscript": "wav2vec2",
    "torch": "wav2vec2",
    "torchcodec": "wav2vec2",
    "transformers": "wav2vec2",
    "accelerate": "finetune",
    "datasets": "finetune",
    "evaluate": "finetune",
    "jinja2": "finetune",
    "markupsafe": "finetune",
    "matplotlib": "finetune",
    "pandas": "finetune",
    "scipy": "finetune",
    "sklearn": "finetune",
    "tqdm": "finetune",
    "psutil": "benchmarks",
    "pydantic": "benchmarks",
    "librosa": "against-libraries",
    "mlflow": "tracking",
    "livekit": "embedding",
    "nncf": "openvino",
    "onnx": "export",
    "openvino": "openvino",
    "pocketsphinx": "pocketsphinx",
}
#: Floor -> extras that its own, of the same name, includes.
_INCLUDED = {
    "finetune": frozenset({"wav2vec2"}),
    "benchmarks": frozenset({"finetune", "pocketsphinx", "wav2vec2", "whisper"}),
}


def install_command(extra: str) -> str:
    """What to type for an extra."""
    return f"pip install 'spoken-digits[{extra}]'"


def require_packages(names: tuple[str, ...], purpose: str) -> None:
    """Looks for packages before they are needed.

    Args:
        names: Top-level modules.
        purpose: What needs them, the beginning of a sentence.

    Raises:
        BackendUnavailableError: With the command that installs what is missing.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        extra = EXTRA_OF_MODULE[missing[0]]
        raise BackendUnavailableError(
            f"{purpose} needs {' and '.join(missing)}, not installed here.",
            f"Install it: {install_command(extra)}",
        )


def missing_package(error: ModuleNotFoundError, floor: str) -> str | None:
    """What to tell the user of a program that lacks a package.

    Args:
        error: What Python raised.
        floor: The folder of the program: ``inference``, ``finetune`` or ``benchmarks``.

    Returns:
        One sentence with the command to type, or None where no extra brings the package.
    """
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(package)
    if extra is None:
        return None
    wanted = floor if extra in _INCLUDED.get(floor, ()) else extra
    return f"this needs the package {package}, which is not installed: {install_command(wanted)}"
