"""Ours against the plain call: the sides, the figures made of them, the command."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.against_libraries import __main__ as command
from benchmarks.against_libraries.comparisons import COMPARISONS, Comparison
from benchmarks.against_libraries.growth import (
    NUM_BYTES,
    growth_lines,
    least_ms,
    measure_growth,
    measure_rates,
    measure_reading_ms,
    plot_growth,
)
from benchmarks.against_libraries.measure import Result, compare, fit_length
from benchmarks.against_libraries.table import precision_rows, table_lines
from benchmarks.worker.waveform_file import StoreWriter
from finetune.corpus.loading import load_corpus
from inference.backends.encoder.select_runtime import RuntimeChoice
from inference.backends.encoder.trial import TrialResult
from inference.backends.mfcc import KernelClassifier
from inference.backends.table import BACKENDS, backend_class, load_backend, parse_variant
from inference.backends.whisper.ctranslate2_file import read_shapes
from inference.backends.whisper.window import encoder_multiply_accumulates
from inference.errors import UserError

CLIPS = [
    (0.1 * np.random.default_rng(seed).standard_normal(6000 + 500 * seed)).astype(np.float32)
    for seed in range(4)
]
MFCC = Comparison("mfcc", BACKENDS["mfcc"].import_path, "itself")


CHECKPOINT = BACKENDS["mfcc"].default_checkpoint


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    with StoreWriter(tmp_path_factory.mktemp("clips") / "clips.f32") as store:
        return [store.add(clip, str(number), None, "nobody") for number, clip in enumerate(CLIPS)]


def result(ours_ms, plain_ms, **changes) -> Result:
    fields = {
        "comparison": MFCC,
        "checkpoint": "here",
        "stand_in": False,
        "ours_ms": tuple(ours_ms),
        "plain_ms": tuple(plain_ms),
        "same_labels": 5,
        "num_clips": 6,
        "max_probability_difference": None,
        "ours_peak_rss_bytes": 50_000_000,
        "plain_peak_rss_bytes": None,
        "load_average": (0.5, None),
    }
    return Result(**{**fields, **changes})


def test_both_sides_answer_the_same_clips_in_processes_of_their_own(monkeypatch, stored) -> None:
    monkeypatch.setattr("benchmarks.against_libraries.measure.MOST_ROUNDS", 6)
    made = compare(MFCC, CHECKPOINT, False, stored, stored, budget_s=1e6, threads=1)
    assert len(made.ours_ms) == len(made.plain_ms) == 6
    assert (made.same_labels, made.num_clips) == (10, 10)  # six timed, and each once more
    assert made.max_probability_difference == 0.0
    assert made.ours_peak_rss_bytes > 10_000_000
    assert 0 < made.ratio_bounds[0] <= made.ratio_bounds[1]


def test_a_spent_budget_leaves_what_an_interval_needs(stored) -> None:
    made = compare(MFCC, CHECKPOINT, True, stored, stored, budget_s=0.0, threads=1)
    assert len(made.ours_ms) == len(made.plain_ms) == made.num_clips == 6
    assert made.ratio_bounds is not None
    assert made.ours_right is None  # random weights


def test_a_batch_is_one_call(monkeypatch, stored) -> None:
    monkeypatch.setattr("benchmarks.against_libraries.measure.LEAST_ROUNDS", 2)
    batch = Comparison("mfcc", MFCC.plain_path, "itself", batch_size=3)
    made = compare(batch, CHECKPOINT, False, stored, (), budget_s=0.0, threads=1)
    assert (made.same_labels, made.num_clips, len(made.ours_ms)) == (6, 6, 2)
    assert made.ratio_bounds is None  # too few rounds for an interval


def test_plain_side_is_a_process_like_ours_with_the_same_checkpoint() -> None:
    ours, plain = Comparison("whisper:window=short", "a:B", "words").entries("here")
    assert ours.checkpoint == plain.checkpoint == "here"
    assert (ours.options, plain.options) == ({"window": "short"}, {})
    assert plain.spec.import_path == "a:B"


def test_start_up_is_timed_on_the_command_itself(recordings) -> None:
    clip = load_corpus(str(recordings)).clips[0]
    assert command.time_start_up(clip) > 0.05
    with pytest.raises(UserError, match=r"inference\.predict"):
        command.time_start_up(replace(clip, read=partial(bytes, b"no audio")))


def test_ratio_is_that_of_paired_rounds() -> None:
    """A machine that gets three times slower on the way changes both sides and not the ratio."""
    drift = [1.0] * 5 + [3.0] * 5
    made = result([2.0 * d for d in drift], [9.0 * d for d in drift])
    assert made.ratio == pytest.approx(4.5)
    assert made.ratio_bounds == pytest.approx((4.5, 4.5))


def test_table_says_what_is_a_stand_in_and_what_failed() -> None:
    lines = table_lines([result([1.0], [20.0], stand_in=True)], ["whisper: no weights"])
    assert "mfcc*" in lines[2]
    assert "20.0" in lines[2]
    assert any("random weights" in line for line in lines)
    assert lines[-1] == "whisper: no weights"
    assert "random weights" not in "".join(table_lines([result([1.0], [2.0])], []))


def test_precisions_that_were_tried_are_told_with_the_one_that_answers() -> None:
    tried = [
        TrialResult("openvino", "int8", 0.01, 1.0, 128.0),
        TrialResult("onnxruntime", "int8", 0.68, 0.75, 101.0),
        TrialResult("onnxruntime", "fp32", 0.0, 1.0, 150.0),
    ]
    assert precision_rows("wav2vec2", RuntimeChoice("openvino", "int8"), tried) == [
        ["wav2vec2", "onnxruntime int8", "101", "75 %", "6.8e-01", "refused"],
        ["wav2vec2", "openvino int8", "128", "100 %", "1.0e-02", "yes"],
        ["wav2vec2", "onnxruntime fp32", "150", "100 %", "0.0e+00", ""],
    ]


def test_precisions_of_the_shipped_checkpoint() -> None:
    rows = command._precisions([Comparison("wav2vec2", "a:B", "words"), MFCC], {})
    assert {row[0] for row in rows} == {"wav2vec2"}
    assert [row[-1] for row in rows].count("yes") == 1


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda c: f"{c.variant} {c.batch_size}")
def test_rows_of_the_table_exist(comparison: Comparison) -> None:
    parse_variant(comparison.variant)
    module, _, name = comparison.plain_path.partition(":")
    assert backend_class(BACKENDS[comparison.backend]).__name__ in comparison.entries("")[0].spec.import_path
    assert hasattr(__import__(module, fromlist=[name]), name)


def test_plain_mfcc_computes_the_same_features_by_other_means(recordings) -> None:
    pytest.importorskip("librosa")
    from benchmarks.against_libraries.library_calls import PlainMfcc, PlainMfccLabels
    from inference.audio import decode_audio

    clips = [decode_audio(path) for path in sorted(recordings.glob("*_0.wav"))[::6]]
    ours = load_backend("mfcc").predict(clips)
    for plain in (PlainMfcc, PlainMfccLabels):
        answers = plain.load(CHECKPOINT).predict(clips)
        assert sum(a.label == b.label for a, b in zip(answers, ours, strict=True)) >= 0.9 * len(clips)
        assert (answers[0].probabilities is None) == (plain is PlainMfccLabels)


def test_plain_machine_is_that_of_the_checkpoint() -> None:
    """On the same statistics the refitted machine gives the labels of the arrays."""
    from benchmarks.against_libraries.library_calls import PlainMfcc, PlainMfccLabels

    arrays = load_file(Path(CHECKPOINT) / "model.safetensors")
    rng = np.random.default_rng(0)
    vectors = rng.permutation(arrays["support_vectors"])[:200]
    components = vectors + 0.1 * rng.standard_normal(vectors.shape)
    statistics = arrays["mean"] + components @ np.linalg.pinv(arrays["projection"])
    expected = KernelClassifier(**arrays).probabilities(statistics).argmax(axis=1)
    for plain in (PlainMfcc, PlainMfccLabels):
        found = plain.load(CHECKPOINT)._pipeline.predict(statistics)
        assert np.mean(found == expected) >= 0.95, plain


def test_plain_whisper_is_the_library_at_its_defaults(tiny_whisper_folder) -> None:
    from benchmarks.against_libraries.library_calls import PlainWhisper

    backend = PlainWhisper.load(str(tiny_whisper_folder))
    seen = {}

    def transcribe(waveform, **options):
        seen.update(options)
        return iter(()), None

    backend._model.transcribe = transcribe
    assert backend.predict(CLIPS[:1])[0].reason == "empty"
    assert seen == {}


@pytest.fixture(scope="module")
def tiny_whisper_folder(tmp_path_factory):
    from tests.random_whisper import build_tiny_whisper

    return build_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


# --- growth -----------------------------------------------------------------------------------------


def test_limit_is_the_slower_of_memory_and_arithmetic() -> None:
    rates = {"float32": 1e10, "int8": 4e10}
    assert least_ms(rates, 2.0, 1e6, "float32") == (2.0, "weights")
    assert least_ms(rates, 2.0, 1e8, "float32") == (pytest.approx(10.0), "float32")
    assert least_ms(rates, 2.0, 1e8, "int8") == (pytest.approx(2.5), "int8")


def test_machine_is_measured_in_every_arithmetic(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.against_libraries.growth.TRIAL_SECONDS", 0.1)
    rates = measure_rates(1)
    assert rates.keys() == NUM_BYTES.keys()
    assert min(rates.values()) > 1e8
    assert measure_reading_ms(64_000_000, 1) > 4 * measure_reading_ms(1_000_000, 1)


@pytest.mark.parametrize(
    ("backend", "checkpoint", "arithmetic"),
    [
        ("mfcc", CHECKPOINT, "float32"),
        ("wav2vec2", BACKENDS["wav2vec2"].default_checkpoint, "float32"),
        ("wav2vec2:runtime=torch,precision=bf16", BACKENDS["wav2vec2"].default_checkpoint, "bfloat16"),
        ("whisper", None, "int8"),
    ],
)
def test_backend_names_its_arithmetic(backend, checkpoint, arithmetic, tiny_whisper_folder) -> None:
    name, options = parse_variant(backend)
    loaded = load_backend(name, checkpoint or str(tiny_whisper_folder), options=options)
    assert loaded.arithmetic == arithmetic


def test_encoder_work_grows_with_positions_and_their_square(tiny_whisper_folder) -> None:
    shapes = read_shapes(tiny_whisper_folder / "model.bin")
    width, layers, ffn, bands = 64, 2, 256, 80

    def expected(frames: int) -> int:
        positions = frames // 2
        linear = 4 * width**2 + 2 * width * ffn
        return (
            3 * bands * width * frames
            + 3 * width**2 * positions
            + layers * (linear * positions + 2 * width * positions**2)
        )

    for frames in (150, 3000):
        assert encoder_multiply_accumulates(shapes, frames) == expected(frames)


def test_growth_has_every_point_and_a_picture(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("benchmarks.against_libraries.growth.CALLS", 2)
    monkeypatch.setattr("benchmarks.against_libraries.growth.BATCHES", (1, 2))
    monkeypatch.setattr("benchmarks.against_libraries.growth.measure_rates", lambda _: {"float32": 2e10})
    monkeypatch.setattr(
        "benchmarks.against_libraries.growth.measure_reading_ms", lambda num_bytes, _: num_bytes / 2.7e7
    )
    pair = (MFCC, BACKENDS["mfcc"].default_checkpoint)
    growth = measure_growth([pair, pair], CLIPS[0], threads=1)
    assert [(p["seconds"], p["batch"]) for p in growth["points"]] == [
        *((seconds, 1) for seconds in (0.25, 0.5, 1.0, 2.0, 5.0)),
        (0.5, 2),
    ]
    assert all(math.isfinite(p["ms_per_clip"]) and p["limit_ms"] > 0 for p in growth["points"])
    # The weights are read once for both clips of a batch; longer clips are bound by what is computed.
    by_place = {(p["seconds"], p["batch"]): p for p in growth["points"]}
    assert by_place[0.5, 1]["limit_set_by"] == by_place[0.5, 2]["limit_set_by"] == "weights"
    assert by_place[0.5, 1]["limit_ms"] == pytest.approx(2 * by_place[0.5, 2]["limit_ms"])
    assert by_place[5.0, 1]["limit_set_by"] == "float32"
    json.dumps(growth)
    assert len(growth_lines(growth)) == 2 + 6 + 2
    plot_growth(growth, tmp_path)
    assert (tmp_path / "growth.svg").stat().st_size > 1000


# --- the command ------------------------------------------------------------------------------------


def test_clips_have_exactly_the_length_asked_for() -> None:
    assert fit_length(CLIPS[0], 0.5).shape == (8000,)
    assert fit_length(CLIPS[0], 0.1).shape == (1600,)


@pytest.mark.parametrize("assignment", ["whisper", "nothing=x", "whisper=", "whisper=/no/where"])
def test_malformed_checkpoint_is_refused(assignment, capsys) -> None:
    assert command.main(["--checkpoint", assignment]) == 2
    assert "--checkpoint" in capsys.readouterr().err


def test_command_prints_and_writes(monkeypatch, tmp_path, capsys, recordings) -> None:
    monkeypatch.setattr(command, "COMPARISONS", (MFCC, Comparison("mfcc", "benchmarks:Nothing", "missing")))
    out = tmp_path / "out"
    monkeypatch.setattr("benchmarks.against_libraries.measure.MOST_ROUNDS", 6)
    asked = ["--backends", "mfcc", "--budget", "0.01", "--out", str(out)]
    assert command.main(asked) == 1  # the second comparison cannot be made
    printed = capsys.readouterr()
    assert "itself" in printed.out
    assert "Nothing" in printed.out
    assert str(out) in printed.err
    document = json.loads((out / "summary.json").read_text())
    assert document["comparisons"][0]["comparison"]["variant"] == "mfcc"
    assert document["environment"]["threads_per_backend"] == 1
    assert "itself" in (out / "summary.md").read_text()
    made = document["comparisons"][0]
    assert made["ours_right"] == made["plain_right"] > 0
    # Started again it measures only what is missing, and refuses other clips.
    monkeypatch.setattr(command, "COMPARISONS", (MFCC,))
    monkeypatch.setattr("benchmarks.against_libraries.measure.compare", None)
    assert command.main(asked) == 0
    assert json.loads((out / "summary.json").read_text())["comparisons"] == [made]
    (out / "summary.json").write_text(json.dumps(document | {"clips": "others"}))
    assert command.main(asked) == 2
    assert "choose another --out" in capsys.readouterr().err
