"""The classifier in OpenVINO: bf16 and int8 on x86 CPUs, without torch once it is converted."""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# Importing openvino would report that to its maker; without the reporter it is silent.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino  # noqa: E402

from inference.backends.encoder.runtime import EncoderRuntime, unusable  # noqa: E402

if TYPE_CHECKING:
    from inference.backends.encoder.classifier import EncoderClassifier

MODEL_FILE = "openvino_model.xml"


class OpenVinoRuntime(EncoderRuntime):
    """Runs a converted model on the CPU.

    Args:
        folder: Where ``convert`` wrote.
        precision: What it was converted for; fp32 computes in fp32, the others in bf16 where the
            processor multiplies in it, and in int8 where the model has 8-bit weights.
        threads: CPU threads of one prediction.
        hidden_size: Width of the encoder: activations are quantised in groups of this size, because
            larger or smaller groups fall back to slower kernels.
    """

    #: 50 ms. Kernels are prepared once per shape; utterances of any length would each be a new one.
    length_step = 800
    #: Two clips share one reading of the weights. More of them save little, and each size of a batch is a
    #: shape of its own with every length: preparing these took longer than the batches saved.
    max_batch = 2

    def __init__(self, folder: Path, precision: str, threads: int, hidden_size: int):
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": hidden_size if precision == "int8" else 0,
        }
        core = openvino.Core()
        in_bf16 = precision != "fp32" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        settings["INFERENCE_PRECISION_HINT"] = "bf16" if in_bf16 else "f32"
        try:
            model = core.compile_model(folder / MODEL_FILE, "CPU", settings)
        except RuntimeError as error:
            raise unusable(folder / MODEL_FILE, error) from error
        self._num_inputs = len(model.inputs)
        self._request = model.create_infer_request()

    def logits(self, input_values: np.ndarray, num_samples: np.ndarray) -> np.ndarray:
        """See ``EncoderRuntime.logits``."""
        inputs = [input_values, num_samples][: self._num_inputs]
        answer = self._request.infer(inputs, share_inputs=True)
        return np.array(answer[0], np.float32)


def convert(
    classifier: "EncoderClassifier",
    folder: Path,
    precision: str,
    calibration: Sequence[np.ndarray] = (),
) -> None:
    """Writes ``MODEL_FILE`` and its weights.

    Args:
        classifier: The network.
        folder: Where to write.
        precision: ``fp32``; ``bf16`` (weights kept in 16 bits); ``int8``.
        calibration: What the encoder is given of some clips. With them ``int8`` quantises
            weights and activations of all layers; without, the weights of the linear layers, whose
            activations are then quantised call by call.
    """
    model = _trace(classifier)
    if precision == "int8":
        model = _quantised(model, calibration)
    openvino.save_model(model, folder / MODEL_FILE, compress_to_fp16=precision == "bf16")


def _trace(classifier: "EncoderClassifier") -> openvino.Model:
    """The graph of the network, for any batch and length."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = classifier.example()
    # The front end itself, not openvino.convert_model: that reports its use to the vendor.
    with torch.no_grad():
        frontend = FrontEndManager().load_by_framework("pytorch")
        # Named, because the front end does not keep it alive itself.
        decoder = TorchScriptPythonDecoder(classifier, example_input=example)
        model = frontend.convert(frontend.load(decoder))
    shapes: list[list[int]] = [[-1, -1], [-1]]
    if classifier.log_mel_shape is not None:
        shapes = [[-1, *classifier.log_mel_shape]]
    for parameter, kind in zip(model.get_parameters(), (openvino.Type.f32, openvino.Type.i64), strict=False):
        parameter.set_element_type(kind)
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    return model


def _quantised(model: openvino.Model, calibration: Sequence[np.ndarray]) -> openvino.Model:
    import nncf

    nncf.set_log_level(logging.ERROR)
    if not calibration:
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    batches: Iterable[np.ndarray] = [clip[None] for clip in calibration]
    num_inputs = len(model.inputs)
    as_inputs: Callable = lambda batch: [batch, np.array([batch.shape[-1]])][:num_inputs]  # noqa: E731
    return nncf.quantize(
        model,
        nncf.Dataset(batches, as_inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration),
    )
