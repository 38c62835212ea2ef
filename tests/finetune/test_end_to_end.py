"""One file that hears: the answers of the backend, from ONNX Runtime alone."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from finetune import end_to_end
from finetune.corpus.loading import load_corpus
from finetune.export import main
from inference.backends.base import Backend
from inference.backends.cnn import CnnBackend
from inference.backends.mfcc import LinearClassifier, MfccBackend
from inference.crop import CropContract
from inference.features import FeatureSettings, WindowSettings
from inference.files import read_json, write_json
from inference.vocabulary import vocabulary
from tests.inference.backends.encoder.test_backend import make_checkpoint

#: What a stranger would write: ONNX Runtime and numpy, nothing of this project.
ALONE = """
import json, sys
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
for waveform in numpy.load(sys.argv[2]).values():
    probabilities, none = session.run(["probabilities", "none_probability"], {"waveform": waveform[None]})
    label = json.loads(about["labels"])[probabilities.argmax()]
    print(json.dumps([label, *probabilities[0].tolist(), *none.tolist()]))
assert not {"inference", "finetune", "torch", "onnx"} & set(sys.modules)
"""


def awkward_waveforms(recordings: list[np.ndarray]) -> list[np.ndarray]:
    """Short, long, silent, noisy, constant and clipped ones besides words."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(60_000).astype(np.float32)
    word = recordings[0]
    return [
        *recordings,
        *(0.1 * noise[:size] for size in (1600, 1679, 1680, 1681, 3999, 12_879, 12_880, 13_041, 60_000)),
        np.zeros(8000, np.float32),
        np.full(8000, 0.25, np.float32),
        np.clip(20 * word, -1, 1),
        1e-4 * word,
        np.concatenate([np.zeros(7000, np.float32), word, np.zeros(30_001, np.float32)]),
        np.concatenate([word + 1e-3 * noise[: word.size], 1e-3 * noise[:20_000]]),
    ]


@pytest.fixture(scope="module")
def waveforms(spoken_corpus: Path) -> list[np.ndarray]:
    return awkward_waveforms([clip.waveform() for clip in load_corpus(str(spoken_corpus)).clips[::40]])


def values_of(backend: Backend, waveforms: list[np.ndarray]) -> np.ndarray:
    return np.array(
        [[*one.probabilities, one.none_probability] for (one,) in (backend.predict([w]) for w in waveforms)]
    )


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("mfcc", 1e-3),
        ("mfcc-cnn", 1e-3),
        ("logmel-dscnn", 1e-3),
        ("speech-embedding", 1e-3),
        ("wav2vec2", 1e-3),
        ("whisper-encoder", 5e-3),  # 8 bits: a feature that differs in its last digit may round another way
    ],
)
def test_the_file_alone_answers_as_the_backend_does(
    name: str, tolerance: float, waveforms: list[np.ndarray], spoken_corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "one-file"
    command = [name, "--format", "onnx", "--end-to-end", "--out", str(out), "--dataset", str(spoken_corpus)]
    assert main(command) == 0
    assert sorted(path.name for path in out.iterdir()) == ["export.json", "recogniser.onnx"]
    np.savez(tmp_path / "waveforms.npz", *waveforms)
    program = tmp_path / "alone.py"
    program.write_text(ALONE)
    arguments = [
        sys.executable,
        "-I",
        str(program),
        str(out / "recogniser.onnx"),
        str(tmp_path / "waveforms.npz"),
    ]
    answers = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    found = [json.loads(line) for line in answers.splitlines()]
    expected = values_of(end_to_end.load_exportable(name)[0], waveforms)
    assert np.abs(np.array([values for _, *values in found]) - expected).max() < tolerance
    assert [label for label, *_ in found] == [vocabulary().labels[row[:-1].argmax()] for row in expected]
    record = json.loads((out / "export.json").read_text())
    assert record["comparison"]["label_agreement"] >= 0.999
    assert 0 < record["comparison"]["max_probability_difference"] < tolerance
    assert set(record["metadata"]) >= {"labels", "sampling_rate", "temperature", "threshold", "licence"}


def test_a_network_without_reject_class_at_its_temperature(
    waveforms: list[np.ndarray], tmp_path: Path
) -> None:
    """The settings that no shipped checkpoint has, on one of its networks."""
    import onnx
    import onnxruntime

    backend, folder = end_to_end.load_exportable("logmel-dscnn")
    for name in ("features.json", "crop.json", "calibration.json"):
        write_json(tmp_path / name, read_json(folder / name))
    write_json(tmp_path / "crop.json", read_json(folder / "crop.json") | {"min_ms": 300})
    write_json(tmp_path / "features.json", read_json(folder / "features.json") | {"trim": False})
    write_json(tmp_path / "labels.json", read_json(folder / "labels.json")[:-1])
    write_json(tmp_path / "calibration.json", read_json(folder / "calibration.json") | {"temperature": 2.5})
    model = onnx.load(folder / "model.onnx")
    (gemm,) = (node for node in model.graph.node if node.op_type == "Gemm")
    for tensor in model.graph.initializer:
        if tensor.name in gemm.input[1:]:
            tensor.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)[:10], tensor.name)
            )
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 10
    del model.graph.value_info[:]
    onnx.save(model, tmp_path / "model.onnx")
    backend, folder = end_to_end.load_exportable(str(tmp_path))
    assert isinstance(backend, CnnBackend)
    assert not WindowSettings(**read_json(folder / "features.json")).trim
    end_to_end.write_recogniser(backend, folder, tmp_path / "one.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    assert [output.name for output in session.get_outputs()] == ["probabilities"]
    for waveform in waveforms:
        (found,) = session.run(None, {"waveform": waveform[None]})
        assert found[0] == pytest.approx(backend.predict([waveform])[0].probabilities, abs=1e-3)


def test_an_encoder_with_a_group_norm(waveforms: list[np.ndarray], tmp_path: Path) -> None:
    """Another kind than the shipped one; what is shorter than its least crop is padded in the file."""
    import onnxruntime

    folder = make_checkpoint(tmp_path / "trained", "wav2vec2-group")
    backend, _ = end_to_end.load_exportable(str(folder))
    end_to_end.write_recogniser(backend, folder, tmp_path / "one.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    for waveform in waveforms:
        found = session.run(None, {"waveform": waveform[None]})[0]
        assert found[0] == pytest.approx(backend.predict([waveform])[0].probabilities, abs=1e-4)


def test_a_regression_on_mfcc_statistics(waveforms: list[np.ndarray], tmp_path: Path) -> None:
    import onnxruntime

    shipped, folder = end_to_end.load_exportable("mfcc")
    assert isinstance(shipped, MfccBackend)
    rng, old = np.random.default_rng(0), shipped.classifier
    weights, bias = rng.standard_normal((old.projection.shape[1], 10)), rng.standard_normal(10)
    regression = LinearClassifier(old.mean, old.projection, *(a.astype(np.float32) for a in (weights, bias)))
    settings = FeatureSettings(**read_json(folder / "features.json"))
    backend = MfccBackend(regression, settings, CropContract())
    end_to_end.write_recogniser(backend, folder, tmp_path / "one.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    for waveform in waveforms:
        (found,) = session.run(None, {"waveform": waveform[None]})
        assert found[0] == pytest.approx(backend.predict([waveform])[0].probabilities, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("whisper", "--format", "onnx", "--end-to-end"), "whisper cannot be exported end to end; what can"),
        (("cascade", "--format", "web"), "cascade cannot be exported end to end"),
        (("missing", "--format", "web"), "missing cannot be exported end to end"),
        (("wav2vec2", "--format", "openvino", "--end-to-end"), "is --format onnx or web"),
        (("wav2vec2", "--format", "web", "--precision", "int8"), "with --precision fp32"),
        (("wav2vec2", "--format", "web", "--out", "full"), "full exists and is not empty"),
        (("wav2vec2", "--format", "web"), "pass --onnxruntime-web FOLDER"),
        (("wav2vec2", "--format", "web", "--onnxruntime-web", "full"), "lacks ort.wasm.bundle.min.mjs"),
    ],
)
def test_mistakes_end_with_one_sentence(
    options: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full", "file").touch()
    assert main(["--out", "new", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("new").exists()


def test_a_file_that_answers_otherwise_is_not_written(
    spoken_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(end_to_end, "MIN_AGREEMENT", 1.1)
    out = tmp_path / "out"
    command = ["logmel-dscnn", "--format", "onnx", "--end-to-end", "--out", str(out)]
    assert main([*command, "--dataset", str(spoken_corpus)]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.rglob("*.*")) == []
