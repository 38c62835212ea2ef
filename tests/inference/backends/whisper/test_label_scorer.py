"""Whisper's further ways to decode, held against the library's own call and against transformers."""

import numpy as np
import pytest
import torch

from benchmarks.against_libraries.random_whisper import (
    make_model,
    make_tokenizer,
    token_id,
    write_ctranslate2,
)
from inference.audio import SAMPLING_RATE
from inference.backends.table import load_backend, whisper, whisper_scorer
from inference.backends.whisper.window import (
    MARGIN_FRAMES,
    STANDARD_FRAMES,
    STEP_FRAMES,
    encode,
    log_mel,
    short_window,
)
from inference.stage_timer import collect_stages
from inference.vocabulary import DIGITS, Vocabulary

RNG = np.random.default_rng(0)
CLIPS = [
    (0.1 * RNG.standard_normal(int(seconds * SAMPLING_RATE))).astype(np.float32)
    for seconds in (0.5, 1.3, 0.1, 0.5, 2.0)
]
VARIANTS = [
    {"decode": decode, "window": window}
    for decode in ("free", "constrained", "prompted")
    for window in ("standard", "short")
]


@pytest.fixture(scope="module")
def talking_whisper(tmp_path_factory):
    """Random weights with a leaning to two words, which it repeats: a text with a score."""
    tokenizer = make_tokenizer()
    network = make_model(tokenizer)
    decoder = network.model.decoder
    words = [tokenizer.encode(f" {word}").ids[0] for word in ("seven", "two")]
    with torch.no_grad():
        # Else it repeats what it was given, whatever that was.
        torch.nn.init.normal_(decoder.layer_norm.weight, generator=torch.Generator().manual_seed(0))
        decoder.layer_norm.bias.copy_(150.0 * decoder.embed_tokens.weight[words].sum(dim=0))
        decoder.layers[0].encoder_attn.out_proj.weight *= 300.0
    return write_ctranslate2(network, tokenizer, tmp_path_factory.mktemp("whisper") / "talks", "talks")


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda options: "-".join(options.values()))
def variant(request, tiny_whisper):
    return load_backend("whisper", str(tiny_whisper), options=request.param)


def test_a_batch_answers_as_its_clips_alone_and_in_their_order(variant) -> None:
    together = variant.predict(CLIPS)
    for prediction, clip in zip(together, CLIPS, strict=True):
        (alone,) = variant.predict([clip])
        assert (prediction.label, prediction.hypothesis) == (alone.label, alone.hypothesis)
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_stages_are_named(variant) -> None:
    with collect_stages() as stages_ns:
        variant.predict(CLIPS[:1])
    assert list(stages_ns) == ["features", "model", "post"]


# --- the window -----------------------------------------------------------------------------------


def test_the_short_window_holds_the_audio_and_the_margin() -> None:
    assert short_window(SAMPLING_RATE // 2) == 50 + MARGIN_FRAMES
    assert short_window(SAMPLING_RATE // 2 + 160) == 100 + MARGIN_FRAMES
    for num_samples in range(1600, 5 * SAMPLING_RATE, 1111):
        silence = short_window(num_samples) - num_samples // 160
        assert MARGIN_FRAMES <= silence < MARGIN_FRAMES + STEP_FRAMES


def test_longer_audio_gets_the_standard_window_and_the_library_call(tiny_whisper) -> None:
    clip = np.tile(CLIPS[0], 11)
    assert short_window(clip.size) == STANDARD_FRAMES
    short = load_backend("whisper", str(tiny_whisper), options={"window": "short"})
    assert short.predict([clip]) == load_backend("whisper", str(tiny_whisper)).predict([clip])


@pytest.mark.parametrize("decode", ["free", "prompted"])
def test_own_decoding_equals_the_library_call_on_equal_windows(talking_whisper, decode) -> None:
    """Same rules: only the length of the window may make a difference."""
    expected = load_backend("whisper", str(talking_whisper), options={"decode": decode}).predict(CLIPS)
    short = load_backend("whisper", str(talking_whisper), options={"decode": decode, "window": "short"})
    assert all(prediction.score for prediction in expected)
    for prediction, clip in zip(expected, CLIPS, strict=True):
        encoded = encode(short._model, [log_mel(short._model, clip)], STANDARD_FRAMES)
        (own,) = short._decoder.decode(encoded)
        assert (own.label, own.hypothesis, own.reason) == (
            prediction.label,
            prediction.hypothesis,
            prediction.reason,
        )
        assert own.score == pytest.approx(prediction.score)


def test_prompted_decoding_tells_the_library_the_labels(monkeypatch, tiny_whisper) -> None:
    backend = load_backend("whisper", str(tiny_whisper), options={"decode": "prompted"})
    seen = {}

    def transcribe(waveform, **options):
        seen.update(options)
        return iter(()), None

    monkeypatch.setattr(backend._model, "transcribe", transcribe)
    backend.predict(CLIPS[:1])
    for forms in DIGITS.spoken_forms.values():
        assert forms[0] in seen["initial_prompt"]


# --- constrained ----------------------------------------------------------------------------------


def test_probabilities_of_labels_and_none_sum_to_one(tiny_whisper) -> None:
    backend = load_backend("whisper", str(tiny_whisper), options={"decode": "constrained"})
    for prediction in backend.predict(CLIPS):
        assert prediction.label == DIGITS.labels[int(np.argmax(prediction.probabilities))]
        assert prediction.score == max(prediction.probabilities)
        assert sum(prediction.probabilities) + prediction.none_probability == pytest.approx(1.0)
        assert prediction.hypothesis is None
        # Random weights hear no digit in noise: the answer stands, and is not shown.
        assert backend.operating_point.decide(prediction).reason == "unknown_class"


def test_public_vocabularies_need_one_step(tiny_whisper) -> None:
    """In them, as here, " seven" is one token; spellings of several tokens are left out."""
    scorer = whisper_scorer.LabelScorer(load_backend("whisper", str(tiny_whisper))._model)
    assert scorer._prefixes == [()]


@pytest.mark.parametrize(
    "spoken_forms",
    [
        {"go": ("go",), "gone": ("gone",), "stop": ("stop", "halt")},
        {"six": ("six",), "sixteen": ("sixteen",), "seven": ("seven",)},
    ],
    ids=["several tokens, one begins another", "one token begins several"],
)
def test_scores_of_any_vocabulary_equal_those_of_transformers(monkeypatch, tmp_path, spoken_forms) -> None:
    """Whole token sequences, computed by another implementation and without a prefix tree."""
    monkeypatch.setattr(whisper_scorer, "vocabulary", lambda: Vocabulary(spoken_forms))
    monkeypatch.setattr(whisper, "COMPUTE_TYPE", "float32")
    tokenizer = make_tokenizer()
    network = make_model(tokenizer).eval()
    with torch.no_grad():
        network.model.decoder.embed_tokens.weight *= 5.0  # else all tokens are about equally probable
    folder = write_ctranslate2(network, tokenizer, tmp_path / "model", "scores")
    model = whisper._load_model(folder, 1)
    scorer = whisper_scorer.LabelScorer(model)
    features = [log_mel(model, clip) for clip in CLIPS[:2]]
    encoded = encode(model, features, 200)
    found = scorer._label_probabilities(scorer._next_token_probabilities(encoded))

    prompt = [token_id(tokenizer, n) for n in ("startoftranscript", "en", "transcribe", "notimestamps")]
    hidden = torch.from_numpy(np.array(encoded))

    def probability(form: tuple[int, ...]) -> np.ndarray:
        tokens = torch.tensor([[*prompt, *form]] * len(features))
        with torch.no_grad():
            logits = network(encoder_outputs=(hidden,), decoder_input_ids=tokens).logits
        steps = logits.log_softmax(-1)[:, len(prompt) - 1 : -1]
        return steps.gather(2, tokens[:, len(prompt) :, None]).sum(dim=(1, 2)).exp().numpy()

    forms = scorer._forms
    expected = np.stack([sum(probability(form) for form in group) for group in forms], axis=1)
    for row, group in enumerate(forms):
        for form in group:
            for other_group in forms:
                for other in other_group:
                    if other != form and other[: len(form)] == form:
                        expected[:, row] -= probability(other)
    np.testing.assert_allclose(np.log(found[:, :-1]), np.log(expected), atol=1e-2)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert any(len(form) > 1 for group in forms for form in group)
    assert np.log(expected).std() > 0.5
