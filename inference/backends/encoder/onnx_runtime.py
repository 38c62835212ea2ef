"""The classifier in ONNX Runtime: fp32 and int8 on any CPU, without torch once it is converted."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as refusals

from inference.backends.encoder.runtime import EncoderRuntime, unusable

if TYPE_CHECKING:
    from inference.backends.encoder.classifier import EncoderClassifier

MODEL_FILE = "model.onnx"
#: The library's errors have no class in common.
_REFUSALS = (
    refusals.Fail,
    refusals.InvalidArgument,
    refusals.InvalidGraph,
    refusals.InvalidProtobuf,
    refusals.NoSuchFile,
    refusals.NotImplemented,
)
INPUTS = ("input_values", "num_samples")


class OnnxRuntime(EncoderRuntime):
    """Runs a converted model on the CPU.

    Args:
        folder: Where ``convert`` wrote.
        threads: CPU threads of one prediction.
    """

    def __init__(self, folder: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin while they wait would take the processor from other backends.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # An arena grows to the largest clip and never shrinks.
        options.enable_cpu_mem_arena = False
        path = folder / MODEL_FILE
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _REFUSALS as error:
            raise unusable(path, error) from error
        self._inputs = [argument.name for argument in self._session.get_inputs()]

    def logits(self, input_values: np.ndarray, num_samples: np.ndarray) -> np.ndarray:
        """See ``EncoderRuntime.logits``."""
        values = dict(zip(INPUTS, (input_values, num_samples), strict=True))
        (logits,) = self._session.run(None, {name: values[name] for name in self._inputs})
        return logits


def convert(classifier: "EncoderClassifier", folder: Path, precision: str) -> None:
    """Writes ``MODEL_FILE``.

    Args:
        classifier: The network.
        folder: Where to write.
        precision: ``fp32``; ``int8``: the weights of the linear layers in 8 bits, one scale per output,
            and their activations quantised call by call. Ranges fixed by calibration cost these
            encoders several points of label agreement here.
    """
    if precision == "fp32":
        _export(classifier, folder / MODEL_FILE)
        return
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory() as scratch:
        exact = Path(scratch, MODEL_FILE)
        _export(classifier, exact)
        # Seven bits of range: without VNNI, two products of eight bits overflow their 16-bit sum.
        quantization.quantize_dynamic(
            exact,
            folder / MODEL_FILE,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
        )


def _export(classifier: "EncoderClassifier", path: Path) -> None:
    import torch

    example = classifier.example()
    inputs = INPUTS[: len(example)]  # windows of one length come without lengths
    batch, samples = {0: "batch"}, {0: "batch", 1: "samples"}
    axes = (samples, batch) if len(example) > 1 else (batch,)
    with torch.no_grad():
        # The tracing exporter takes seconds where torch.export takes a minute, and needs no package.
        torch.onnx.export(
            classifier,
            example,
            path,
            dynamo=False,
            opset_version=17,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_axes=dict(zip((*inputs, "logits"), (*axes, batch), strict=True)),
        )
