"""The waveform classifier on every runtime: equal answers, alone and in a batch."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.backends.encoder import select_runtime, trial
from inference.backends.encoder.checkpoint import read_encoder_checkpoint
from inference.backends.encoder.conversion import convert_checkpoint
from inference.backends.encoder.input_values import MAX_PADDING, normalised, padded, plan_batches
from inference.backends.encoder.select_runtime import RuntimeChoice, candidates
from inference.backends.table import BACKENDS, load_backend
from inference.errors import BackendUnavailableError, CheckpointError, UserError
from inference.stage_timer import collect_stages
from inference.vocabulary import DIGITS, REJECT_LABEL
from tests.conftest import PROJECT

KINDS = ["wav2vec2-group", "wav2vec2-layer", "hubert-group", "wavlm-group", "whisper"]
CONVERTED = [("onnxruntime", "fp32"), ("openvino", "fp32")]
NUM_SAMPLES = (4000, 16_000, 7123, 4000, 15_999, 15_000)
NOT_CONVERTED = shutil.ignore_patterns(trial.CACHE_NAME)


def noise(num_samples: int) -> np.ndarray:
    return np.random.default_rng(num_samples).uniform(-0.5, 0.5, num_samples).astype(np.float32)


def make_checkpoint(folder: Path, kind: str, labels: tuple[str, ...] = DIGITS.labels) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForAudioClassification, Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    if kind == "whisper":
        return _make_whisper(folder, labels)
    model_type, norm = kind.split("-")
    config = AutoConfig.for_model(
        model_type,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        classifier_proj_size=32,
        conv_dim=[16, 16, 32],
        conv_stride=[10, 8, 4],
        conv_kernel=[20, 16, 8],
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        initializer_range=0.5,  # answers that differ from clip to clip
        **_label_maps(labels),
    )
    AutoModelForAudioClassification.from_config(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(folder)
    return folder


def _make_whisper(folder: Path, labels: tuple[str, ...]) -> Path:
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForAudioClassification

    config = WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_layers=0,
        classifier_proj_size=32,
        max_source_positions=100,
        init_std=0.5,
        **_label_maps(labels),
    )
    WhisperForAudioClassification(config).save_pretrained(folder)
    WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)
    return folder


def _label_maps(labels: tuple[str, ...]) -> dict:
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: label_id for label_id, label in enumerate(labels)},
    }


@pytest.fixture(autouse=True)
def _tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates are converted in this process, which has torch already, and timed by a few calls."""
    monkeypatch.setattr(trial, "_prepare_apart", trial.prepare)
    monkeypatch.setattr(trial, "MAX_CALLS", 3)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    return {kind: make_checkpoint(root / kind, kind) for kind in KINDS}


def library_answer(folder: Path, waveform: np.ndarray) -> np.ndarray:
    """Probabilities of the plain library: its feature extractor, its model, one clip."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    extractor = AutoFeatureExtractor.from_pretrained(folder)
    model = AutoModelForAudioClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        inputs = extractor(waveform, sampling_rate=16_000, return_tensors="pt")
        return model(**inputs).logits.softmax(dim=-1)[0].numpy()


def answers(folder: Path, runtime: str, precision: str) -> list[np.ndarray]:
    """Probabilities of a batch of unlike lengths, after a check against its clips alone."""
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs the extra 'openvino'")
    backend = load_backend("wav2vec2", str(folder), options={"runtime": runtime, "precision": precision})
    waveforms = [noise(num_samples) for num_samples in NUM_SAMPLES]
    together = [np.array(prediction.probabilities) for prediction in backend.predict(waveforms)]
    for waveform, probabilities in zip(waveforms, together, strict=True):
        (alone,) = backend.predict([waveform])
        np.testing.assert_allclose(probabilities, alone.probabilities, atol=1e-4)
    assert backend.predict([]) == []
    return together


@pytest.mark.parametrize("kind", KINDS)
def test_torch_answers_like_the_library_alone_and_in_a_batch(kind: str, checkpoints: dict[str, Path]) -> None:
    together = answers(checkpoints[kind], "torch", "fp32")
    for num_samples, probabilities in zip(NUM_SAMPLES, together, strict=True):
        reference = library_answer(checkpoints[kind], noise(num_samples))
        np.testing.assert_allclose(probabilities, reference, atol=1e-4)
    assert np.ptp(together, axis=0).max() > 0.01, "equal answers to all clips would prove nothing"


@pytest.mark.parametrize(
    ("kind", "runtime", "precision"),
    [
        ("wav2vec2-layer", "onnxruntime", "fp32"),
        ("wav2vec2-group", "openvino", "fp32"),
        ("whisper", "onnxruntime", "fp32"),
        ("whisper", "openvino", "fp32"),
    ],
)
def test_converted_models_answer_like_torch(
    kind: str, runtime: str, precision: str, checkpoints: dict[str, Path]
) -> None:
    expected = answers(checkpoints[kind], "torch", "fp32")
    np.testing.assert_allclose(answers(checkpoints[kind], runtime, precision), expected, atol=1e-4)
    kept = [path.name for path in (checkpoints[kind] / trial.CACHE_NAME).iterdir()]
    assert len([name for name in kept if name.startswith(runtime)]) == 1
    assert not [name for name in kept if name.startswith("unfinished")]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("runtime", "precision"), CONVERTED)
def test_all_kinds_convert(kind: str, runtime: str, precision: str, checkpoints: dict[str, Path]) -> None:
    expected = answers(checkpoints[kind], "torch", "fp32")
    np.testing.assert_allclose(answers(checkpoints[kind], runtime, precision), expected, atol=1e-4)


@pytest.mark.parametrize(("runtime", "precision"), [("openvino", "int8"), ("onnxruntime", "int8")])
def test_eight_bit_weights_stay_close(runtime: str, precision: str, tmp_path: Path) -> None:
    """Of a trained model: random weights make answers that any rounding turns over."""
    pytest.importorskip("nncf" if runtime == "openvino" else "onnx", reason="needs the extra 'export'")
    folder = tmp_path / "shipped"
    shutil.copytree(BACKENDS["wav2vec2"].default_checkpoint, folder, ignore=NOT_CONVERTED)
    expected = answers(folder, "torch", "fp32")
    found = answers(folder, runtime, precision)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert not np.array_equal(found, expected), "nothing was quantised"


@pytest.mark.gpu
def test_gpu_answers_like_the_library(checkpoints: dict[str, Path]) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    together = answers(checkpoints["wav2vec2-group"], "auto", "auto")
    for num_samples, probabilities in zip(NUM_SAMPLES, together, strict=True):
        reference = library_answer(checkpoints["wav2vec2-group"], noise(num_samples))
        np.testing.assert_allclose(probabilities, reference, atol=0.05)


def test_an_onnx_model_loads_neither_torch_nor_transformers(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Nor does the first use, whose conversion is done by a process of its own."""
    folder = str(shutil.copytree(checkpoints["wav2vec2-layer"], tmp_path / "fresh", ignore=NOT_CONVERTED))
    code = (
        "import sys, numpy\n"
        "from inference.backends.table import BACKENDS, load_backend\n"
        f"backend = load_backend('wav2vec2', {folder!r}, options={{'runtime': 'onnxruntime'}})\n"
        "backend.predict([numpy.ones(8000, numpy.float32)])\n"
        "assert not {'torch', 'transformers', 'openvino'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=300)


def test_eight_bit_weights_keep_to_seven_bits_where_kernels_overflow(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """vpmaddubsw adds two products in 16 bits: 2 * 255 * 64 fits, 2 * 255 * 127 does not."""
    onnx = pytest.importorskip("onnx", reason="needs the extra 'export'")
    checkpoint = read_encoder_checkpoint(checkpoints["wav2vec2-layer"])
    convert_checkpoint(checkpoint, RuntimeChoice("onnxruntime", "int8"), tmp_path)
    stored = onnx.load(tmp_path / "model.onnx").graph.initializer
    weights = [onnx.numpy_helper.to_array(array) for array in stored if array.name.endswith("_quantized")]
    assert weights
    assert max(int(np.abs(values.astype(int)).max()) for values in weights) <= 64


def result(runtime: str, precision: str, difference: float, one_clip_ms: float) -> trial.TrialResult:
    return trial.TrialResult(runtime, precision, difference, 1.0, one_clip_ms)


def test_the_fastest_that_agrees_is_chosen() -> None:
    results = [
        result("openvino", "int8", 0.02, 30.0),
        result("onnxruntime", "int8", 0.68, 10.0),
        result("onnxruntime", "fp32", 0.0, 50.0),
    ]
    assert trial.choose_fastest(results, 3) == RuntimeChoice("openvino", "int8")
    assert trial.choose_fastest([results[1], results[1]], 2) == trial.REFERENCE
    with pytest.raises(CheckpointError, match=r"onnxruntime in int8 .* by 0\.68.*--precision fp32"):
        trial.choose_fastest([results[1]], 1)


def test_what_does_not_run_here_is_passed_over(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a library's kernels do not suit the processor."""
    checkpoint = read_encoder_checkpoint(checkpoints["wav2vec2-layer"])
    good, bad = RuntimeChoice("onnxruntime", "fp32"), RuntimeChoice("onnxruntime", "int8")
    load, refused = trial.load_converted, {bad}

    def load_some(folder: Path, choice: RuntimeChoice, *rest):
        if choice in refused:
            raise CheckpointError("no such kernel")
        return load(folder, choice, *rest)

    monkeypatch.setattr(trial, "load_converted", load_some)
    for chosen in (good, trial.REFERENCE):
        folder = tmp_path / str(chosen)
        folder.mkdir()
        trial.prepare(checkpoint, (bad, good), folder)
        selection = json.loads((folder / trial.SELECTION_FILE).read_text())
        assert RuntimeChoice(**selection["chosen"]) == chosen
        assert selection["refusals"] == {str(choice): "no such kernel" for choice in refused}
        refused.add(good)
    alone = tmp_path / "alone"
    alone.mkdir()
    with pytest.raises(CheckpointError, match="no such kernel"):
        trial.prepare(checkpoint, (bad,), alone)


def test_what_was_tried_is_kept_beside_the_model(checkpoints: dict[str, Path]) -> None:
    pytest.importorskip("openvino", reason="needs the extra 'export'")
    checkpoint = read_encoder_checkpoint(checkpoints["wav2vec2-layer"])
    asked = (RuntimeChoice("openvino", "fp32"), RuntimeChoice("onnxruntime", "fp32"))
    chosen, place = trial.prepared_folder(checkpoint, asked)
    selection = json.loads((place / trial.SELECTION_FILE).read_text())
    tried = {(entry["runtime"], entry["precision"]) for entry in selection["candidates"]}
    assert tried == {("openvino", "fp32"), ("onnxruntime", "fp32")}
    assert chosen in asked
    assert {path.name.partition(".")[0] for path in place.iterdir()} == {
        "selection",
        "model" if chosen.runtime == "onnxruntime" else "openvino_model",
    }


def test_a_precision_that_changes_answers_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = read_encoder_checkpoint(checkpoints["wav2vec2-layer"])
    monkeypatch.setattr(trial, "MAX_PROBABILITY_DIFFERENCE", -1.0)
    with pytest.raises(CheckpointError, match="changes answers of this checkpoint on this processor"):
        trial.prepare(checkpoint, [RuntimeChoice("onnxruntime", "fp32")], tmp_path)


def test_two_processes_convert_at_once(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """The one that comes second uses what the first made, and leaves nothing behind."""
    folder = tmp_path / "shared"
    shutil.copytree(checkpoints["wav2vec2-layer"], folder, ignore=NOT_CONVERTED)
    checkpoint = read_encoder_checkpoint(folder)
    choice = RuntimeChoice("onnxruntime", "fp32")
    first: list[Path] = []
    convert = trial._prepare_apart

    def convert_while_another_finishes(*arguments) -> None:
        convert(*arguments)
        if not first:
            first.append(folder)
            trial.prepared_folder(checkpoint, [choice])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "_prepare_apart", convert_while_another_finishes)
        _, place = trial.prepared_folder(checkpoint, [choice])
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert (place / "model.onnx").is_file()


def test_read_only_checkpoints_are_converted_into_the_users_cache(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "read-only"
    shutil.copytree(checkpoints["wav2vec2-layer"], folder, ignore=NOT_CONVERTED)
    (folder / trial.CACHE_NAME).write_text("a file where the folder would be: cannot be written into")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _, place = trial.prepared_folder(read_encoder_checkpoint(folder), [RuntimeChoice("onnxruntime", "fp32")])
    assert place.is_relative_to(tmp_path / "cache")
    assert (place / "model.onnx").is_file()


def test_other_weights_are_another_key(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    choice = RuntimeChoice("onnxruntime", "fp32")
    folder = tmp_path / "changed"
    shutil.copytree(checkpoints["wav2vec2-layer"], folder)
    before = trial._key(folder, [choice])
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert trial._key(folder, [choice]) != before


def test_an_eleventh_class_and_its_calibration_are_used(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "reject", "wav2vec2-layer", (*DIGITS.labels, REJECT_LABEL))
    options = {"runtime": "torch"}
    plain = load_backend("wav2vec2", str(folder), options=options).predict([noise(8000)])[0]
    assert plain.none_probability is not None
    operating_point = {
        "temperature": 2.0,
        "threshold": 0.4,
        "false_reject_rate": 0.02,
        "false_accept_rate": 0.1,
    }
    (folder / "calibration.json").write_text(
        json.dumps({**operating_point, "num_digits": 9, "num_others": 9})
    )
    backend = load_backend("wav2vec2", str(folder), options=options)
    assert backend.operating_point is not None
    (soft,) = backend.predict([noise(8000)])
    expected = np.sqrt([*plain.probabilities, plain.none_probability])
    np.testing.assert_allclose(
        [*soft.probabilities, soft.none_probability], expected / expected.sum(), atol=1e-5
    )


def test_the_work_is_divided_into_stages(checkpoints: dict[str, Path]) -> None:
    backend = load_backend("wav2vec2", str(checkpoints["wav2vec2-layer"]), options={"runtime": "onnxruntime"})
    with collect_stages() as stages_ns:
        backend.predict([noise(8000)])
    assert set(stages_ns) == {"features", "model", "post"}


@pytest.mark.parametrize("num_samples", [250, 5000, 32_000, 40_000])
def test_log_mel_windows_are_those_of_the_library(num_samples: int, checkpoints: dict[str, Path]) -> None:
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(checkpoints["whisper"])
    waveform = 0.1 * noise(num_samples)
    expected = extractor(waveform, sampling_rate=16_000, return_tensors="np")["input_features"][0]
    found = read_encoder_checkpoint(checkpoints["whisper"]).inputs(waveform)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_input_values_are_those_of_the_library(checkpoints: dict[str, Path]) -> None:
    from transformers import AutoFeatureExtractor

    extractor = AutoFeatureExtractor.from_pretrained(checkpoints["wav2vec2-layer"])
    waveforms = [noise(5000), np.zeros(8000, np.float32), noise(8000) * 1e-4 + 0.3]
    expected = extractor(waveforms, sampling_rate=16_000, padding=True, return_tensors="np")
    found = padded([normalised(waveform) for waveform in waveforms], 8000)
    np.testing.assert_array_equal(found, expected["input_values"])


@given(
    st.lists(st.integers(400, 80_000), max_size=60),
    st.integers(1, 16),
    st.sampled_from([1, 320, 1600]),
    st.booleans(),
)
def test_batches_hold_every_clip_once_and_little_padding(
    lengths: list[int], max_batch: int, step: int, may_pad: bool
) -> None:
    batches = plan_batches(lengths, max_batch, step, may_pad)
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch.rows) <= max_batch
        for row in batch.rows:
            if may_pad:
                assert batch.length % step == 0
                longest = max(lengths[row] for row in batch.rows)
                assert longest <= batch.length < longest + step
                assert lengths[row] >= batch.length * (1 - MAX_PADDING) or len(batch.rows) == 1
            else:
                assert lengths[row] == batch.length


def test_candidates_follow_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    absent: set[str] = set()
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(select_runtime, "has_gpu", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find_spec(name))
    onnx, torch = (RuntimeChoice("onnxruntime", "fp32"), RuntimeChoice("torch", "fp32"))
    assert {choice.precision for choice in candidates("auto", "int8", 90_000_000, True)} == {"int8"}
    absent |= {"openvino", "nncf"}
    assert candidates("auto", "auto", 1_000_000, convertible=True) == (onnx,)
    assert candidates("auto", "auto", 90_000_000, True) == (RuntimeChoice("onnxruntime", "int8"), onnx)
    assert candidates("auto", "auto", 1_000_000, convertible=False) == (torch,)
    assert candidates("auto", "bf16", 1_000_000, convertible=True) == (RuntimeChoice("torch", "bf16"),)
    with pytest.raises(BackendUnavailableError, match=r"openvino in fp32 needs openvino.*\[export\]"):
        candidates("openvino", "fp32", 1_000_000, convertible=True)
    absent |= {"onnxruntime"}
    assert candidates("auto", "auto", 1_000_000, convertible=True) == (torch,)
    with pytest.raises(UserError, match="onnxruntime has no precision bf16 here; choose one of: fp32, int8"):
        candidates("onnxruntime", "bf16", 1_000_000, convertible=True)
    with pytest.raises(UserError, match="runs on torch only"):
        candidates("openvino", "fp32", 1_000_000, convertible=False)


def test_kinds_that_cannot_be_masked_are_batched_by_length(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(checkpoints["hubert-group"], folder)
    config = json.loads((folder / "config.json").read_text())
    config["conv_pos_batch_norm"] = True
    (folder / "config.json").write_text(json.dumps(config))
    assert not read_encoder_checkpoint(folder).pads_exactly


def test_an_unusable_converted_file_is_named(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(checkpoints["wav2vec2-layer"], folder)
    options = {"runtime": "onnxruntime", "precision": "fp32"}
    load_backend("wav2vec2", str(folder), options=options)
    (model,) = folder.glob(f"{trial.CACHE_NAME}/onnxruntime-fp32-*/model.onnx")
    os.truncate(model, 1000)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_backend("wav2vec2", str(folder), options=options)
