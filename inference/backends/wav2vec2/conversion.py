"""From the weights of a checkpoint to a runtime's own format, kept so that it is made once."""

import contextlib
import hashlib
import importlib.metadata
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from inference.backends.wav2vec2.checkpoint import (
    WEIGHTS_FILE,
    EncoderCheckpoint,
    read_encoder_checkpoint,
)
from inference.backends.wav2vec2.select_runtime import Choice
from inference.errors import CheckpointError
from inference.extras import require_packages

#: Beside the checkpoint, hidden: the folder's visible files are what is published.
CACHE_NAME = ".runtimes"

_logger = logging.getLogger(__name__)


def converted_folder(checkpoint: EncoderCheckpoint, choice: Choice) -> Path:
    """The folder with a checkpoint in a runtime's format, converted now if it was not before.

    It lies beside the checkpoint or, where that cannot be written, in the user's cache.

    Raises:
        BackendUnavailableError: If it must be converted and torch is not installed.
        CheckpointError: If the weights are damaged.
        OSError: If there is no room for it.
    """
    key = _key(checkpoint.folder, choice)
    beside = checkpoint.folder / CACHE_NAME
    places = (beside / key, _user_cache() / key)
    for place in places:
        if place.is_dir():
            return place
    require_packages(("torch", "transformers"), f"the first use of {checkpoint.folder}")
    _logger.warning(
        "preparing %s for %s in %s, once per checkpoint", checkpoint.folder, choice.runtime, choice.precision
    )
    place = places[0] if _is_writable(beside) else places[1]
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=place.parent))
    try:
        _convert_apart(checkpoint, choice, unfinished)
        unfinished.chmod(0o755)  # a temporary folder is its owner's alone
        with contextlib.suppress(OSError):  # of a process that was here first; its result is as good
            unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


def convert_checkpoint(
    checkpoint: EncoderCheckpoint, choice: Choice, folder: Path, calibration: Sequence[np.ndarray] = ()
) -> None:
    """Writes the files of a runtime's format into a folder.

    Args:
        checkpoint: With weights of torch.
        choice: ``openvino`` or ``onnxruntime``, and the precision.
        folder: Where to write.
        calibration: Normalised waveforms for ``int8`` of OpenVINO, see its ``convert``.
    """
    from inference.backends.wav2vec2.classifier import load_classifier

    classifier = load_classifier(checkpoint)
    with _silent():
        if choice.runtime == "openvino":
            from inference.backends.wav2vec2 import openvino_runtime

            openvino_runtime.convert(classifier, folder, choice.precision, calibration)
        else:
            from inference.backends.wav2vec2 import onnx_runtime

            onnx_runtime.convert(classifier, folder, choice.precision)


def _convert_apart(checkpoint: EncoderCheckpoint, choice: Choice, folder: Path) -> None:
    """Converts in a process of its own: torch and its memory do not stay in the one that recognises."""
    call = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
    command: list[str | Path] = [
        sys.executable,
        "-c",
        call,
        checkpoint.folder,
        choice.runtime,
        choice.precision,
        folder,
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    process = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise CheckpointError(lines[-1])


def main(checkpoint: str, runtime: str, precision: str, folder: str) -> None:
    """Converts in the child process; a refusal ends it with its sentence on standard error."""
    try:
        choice = Choice(runtime, precision)
        convert_checkpoint(read_encoder_checkpoint(Path(checkpoint)), choice, Path(folder))
    except CheckpointError as error:
        sys.exit(str(error))


def _key(folder: Path, choice: Choice) -> str:
    """Changes with the weights, the settings, the runtime, its version and the precision."""
    digest = hashlib.sha256()
    for name in ("config.json", WEIGHTS_FILE):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    version = importlib.metadata.version(choice.runtime)
    return f"{choice.runtime}-{version}-{choice.precision}-{digest.hexdigest()[:16]}"


def _user_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "spoken-digits" / "runtimes"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps the progress reports of exporters off the streams, out of the log and out of the warnings."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(disabled)
