"""One ONNX file that hears: a waveform goes in, probabilities come out, features and all inside.

Parts that are made apart are joined: what a backend does before its network, the network itself, and what
follows. The metadata of the file say what must be known to use it, so that it can travel alone.
"""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.corpus.clip import Clip
from inference.audio import SAMPLING_RATE
from inference.backends.base import Backend
from inference.backends.cnn import MODEL_NAME, CnnBackend
from inference.backends.encoder.backend import EncoderBackend, find_folder
from inference.backends.encoder.checkpoint import SETTINGS_FILES, read_encoder_checkpoint
from inference.backends.encoder.conversion import convert_checkpoint
from inference.backends.encoder.select_runtime import RuntimeChoice
from inference.backends.mfcc import CHECKPOINT_FILES, LinearClassifier, MfccBackend
from inference.backends.table import BACKENDS
from inference.errors import CheckpointError, UserError
from inference.extras import require_packages
from inference.features import FeatureSettings, WindowSettings, num_statistics
from inference.files import read_json
from inference.prediction import Prediction, prediction_from_probabilities
from inference.vocabulary import vocabulary

if TYPE_CHECKING:
    import onnx

    from finetune.waveform_graph import PreparedWaveform

RECOGNISER_FILE = "recogniser.onnx"
#: Share of clips whose label must be the one that the backend gives.
MIN_AGREEMENT = 0.999
_FEATURES_FILE = "features.json"
#: Of what has no network in a file of its own; the same as for an encoder.
_OPSET = 17


def load_exportable(checkpoint: str) -> tuple[Backend, Path]:
    """Loads what can become one file, and says where it lies.

    Args:
        checkpoint: A folder, a Hub id, or the name of a backend for the checkpoint that is shipped.

    Raises:
        CheckpointError: If it cannot be exported end to end, or is damaged.
    """
    spec, kinds = BACKENDS.get(checkpoint), ("Wav2Vec2FeatureExtractor", "WhisperFeatureExtractor")
    folder = find_folder(spec.default_checkpoint if spec else checkpoint)
    if (folder / MODEL_NAME).is_file() and (folder / _FEATURES_FILE).is_file():
        return CnnBackend.load(str(folder)), folder
    settings = folder / SETTINGS_FILES[1]
    if settings.is_file() and read_json(settings).get("feature_extractor_type", kinds[0]) in kinds:
        exported = read_encoder_checkpoint(folder).exported
        if exported is None:
            return EncoderBackend.load(str(folder), runtime="torch", precision="fp32"), folder
        if exported.runtime == "onnxruntime":
            return EncoderBackend.load(str(folder)), folder
        raise CheckpointError(
            f"{checkpoint} is an export for {exported.runtime}; name the folder that finetune.train wrote."
        )
    if all((folder / name).is_file() for name in CHECKPOINT_FILES):
        return MfccBackend.load(str(folder)), folder
    raise CheckpointError(
        f"{checkpoint} cannot be exported end to end; what can is a network on log-mel windows "
        "(logmel-dscnn, speech-embedding, mfcc-cnn), MFCC statistics (mfcc) or an encoder (wav2vec2, "
        "whisper-encoder): name the backend, or a folder that finetune.fit_baseline or finetune.train wrote."
    )


def write_recogniser(backend: Backend, folder: Path, path: Path) -> dict[str, str]:
    """Writes the file: ``waveform`` float32 ``(1, samples)`` to ``probabilities`` ``(1, num_labels)``.

    A model with a reject class has a second output, ``none_probability`` ``(1,)``.

    Args:
        backend: What ``load_exportable`` gave.
        folder: Its checkpoint.
        path: The file to write.

    Returns:
        The metadata in the file, by name.
    """
    require_packages(("onnx", "torch"), "an end-to-end export")
    import onnx
    import torch

    from finetune import waveform_graph

    front, network = _parts(backend, folder)
    labels, point, contract = vocabulary().labels, backend.operating_point, backend.crop_contract
    num_classes = len(_values(*backend.predict([np.zeros(SAMPLING_RATE, np.float32)])))
    end = waveform_graph.Probabilities(point.temperature, len(labels))
    outputs = ["probabilities", "none_probability"][: 1 + num_classes - len(labels)]
    opset = next(item.version for item in network.opset_import if not item.domain)
    inputs = [item.name for item in network.graph.input]
    before = waveform_graph.trace(front, torch.ones(1, SAMPLING_RATE), ["waveform"], inputs, opset)
    after = waveform_graph.trace(end, torch.zeros(1, num_classes), ["logits"], outputs, opset)
    model = _joined(_joined(before, network), after)
    metadata = {
        "labels": json.dumps(labels),
        "sampling_rate": str(SAMPLING_RATE),
        "temperature": str(point.temperature),
        "threshold": "" if point.threshold is None else str(point.threshold),
        "crop_ms": json.dumps({"pre": contract.pre_ms, "post": contract.post_ms}),
        **_named_in_card(folder / "README.md"),
    }
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return metadata


def _parts(backend: Backend, folder: Path) -> "tuple[PreparedWaveform, onnx.ModelProto]":
    """What a backend does before its network, and the network."""
    import onnx
    import torch

    from finetune import waveform_graph

    contract = backend.crop_contract
    if isinstance(backend, CnnBackend):
        window = WindowSettings(**read_json(folder / _FEATURES_FILE))
        return waveform_graph.WordWindow(contract, window), onnx.load(folder / MODEL_NAME)
    if isinstance(backend, MfccBackend):
        settings = FeatureSettings(**read_json(folder / _FEATURES_FILE))
        if not isinstance(backend.classifier, LinearClassifier):
            raise CheckpointError(
                f"{folder} is a random forest, which no export writes; fit mfcc-svm or mfcc-logreg instead."
            )
        classifier = waveform_graph.StatisticsClassifier(backend.classifier)
        example = torch.zeros(1, num_statistics(settings))
        network = waveform_graph.trace(classifier, example, ["statistics"], ["logits"], _OPSET)
        return waveform_graph.WordStatistics(contract, settings), network
    checkpoint = read_encoder_checkpoint(folder)
    front = (
        waveform_graph.WhisperWindow(contract, *checkpoint.log_mel_shape)
        if checkpoint.log_mel_shape
        else waveform_graph.NormalisedWaveform(contract, checkpoint.normalises)
    )
    if checkpoint.exported:
        return front, onnx.load(folder / MODEL_NAME)
    with tempfile.TemporaryDirectory() as scratch:
        convert_checkpoint(checkpoint, RuntimeChoice("onnxruntime", "fp32"), Path(scratch))
        return front, onnx.load(Path(scratch, MODEL_NAME))


def _joined(before: "onnx.ModelProto", after: "onnx.ModelProto") -> "onnx.ModelProto":
    """One model of two, whose outputs and inputs have the same names; the other names are kept apart."""
    from onnx import compose

    names = [(output.name, output.name) for output in before.graph.output]
    after.ir_version = before.ir_version = max(before.ir_version, after.ir_version)
    inner = compose.add_prefix(after, f"after_{names[0][0]}_", rename_inputs=False, rename_outputs=False)
    return compose.merge_models(before, inner, io_map=names)


def _named_in_card(card: Path) -> dict[str, str]:
    """Licence and title of a checkpoint as its model card has them."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    found = {
        "licence": re.search(r"^license: (.+)$", text, flags=re.MULTILINE),
        "title": re.search(r"^# (.+)$", text, flags=re.MULTILINE),
    }
    return {name: match[1] if match else "not stated" for name, match in found.items()}


def compare(backend: Backend, path: Path, clips: Sequence[Clip]) -> dict[str, Any]:
    """How far the answers of the file are from those of the backend.

    Raises:
        UserError: If fewer than ``MIN_AGREEMENT`` of the labels are the same.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference, num_equal, num_decided_alike = 0.0, 0, 0
    for clip in clips:
        waveform = clip.waveform()
        (expected,) = backend.predict([waveform])
        found = prediction_from_probabilities(
            np.concatenate([output.ravel() for output in session.run(None, {"waveform": waveform[None]})])
        )
        pairs = zip(_values(found), _values(expected), strict=True)
        difference = max(difference, *(abs(one - other) for one, other in pairs))
        num_equal += found.label == expected.label
        answers = (backend.operating_point.decide(prediction).label for prediction in (found, expected))
        num_decided_alike += len(set(answers)) == 1
    agreement = num_equal / len(clips)
    if agreement < MIN_AGREEMENT:
        raise UserError(
            f"only {agreement:.4f} of {len(clips)} clips keep their label in one file, expected "
            f"{MIN_AGREEMENT} at least; nothing was written."
        )
    return {
        "clips": len(clips),
        "label_agreement": agreement,
        "answer_agreement": num_decided_alike / len(clips),
        "max_probability_difference": difference,
        "bytes": path.stat().st_size,
    }


def _values(prediction: Prediction) -> list[float]:
    """All probabilities, that of no label at the end if there is one."""
    none = prediction.none_probability
    return [*(prediction.probabilities or ()), *([] if none is None else [none])]
