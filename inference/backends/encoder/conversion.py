"""From the weights of a checkpoint to a runtime's own format, and from there to a loaded classifier."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from inference.backends.encoder.checkpoint import EncoderCheckpoint
from inference.backends.encoder.runtime import EncoderRuntime
from inference.backends.encoder.select_runtime import RuntimeChoice


def convert_checkpoint(
    checkpoint: EncoderCheckpoint,
    choice: RuntimeChoice,
    folder: Path,
    calibration: Sequence[np.ndarray] = (),
) -> None:
    """Writes the files of a runtime's format into a folder.

    Args:
        checkpoint: With weights of torch.
        choice: ``openvino`` or ``onnxruntime``, and the precision.
        folder: Where to write.
        calibration: Inputs for ``int8`` of OpenVINO, see its ``convert``.

    Raises:
        CheckpointError: If the weights are damaged.
    """
    from inference.backends.encoder.classifier import load_classifier

    classifier = load_classifier(checkpoint)
    with _silent():
        if choice.runtime == "openvino":
            from inference.backends.encoder import openvino_runtime

            openvino_runtime.convert(classifier, folder, choice.precision, calibration)
        else:
            from inference.backends.encoder import onnx_runtime

            onnx_runtime.convert(classifier, folder, choice.precision)


def load_converted(folder: Path, choice: RuntimeChoice, threads: int, hidden_size: int) -> EncoderRuntime:
    """Loads what ``convert_checkpoint`` wrote, and the one library that this needs.

    Args:
        folder: Where it was written.
        choice: What it was converted for.
        threads: CPU threads of one prediction.
        hidden_size: Width of the encoder.

    Raises:
        CheckpointError: If the model is damaged.
    """
    if choice.runtime == "openvino":
        from inference.backends.encoder.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(folder, choice.precision, threads, hidden_size)
    from inference.backends.encoder.onnx_runtime import OnnxRuntime

    return OnnxRuntime(folder, threads)


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
