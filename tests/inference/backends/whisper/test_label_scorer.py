"""Whisper's further ways to decode, held against the library's own call and against transformers."""

import itertools

import numpy as np
import pytest
import torch

from inference.audio import SAMPLING_RATE
from inference.backends.table import load_backend
from inference.backends.whisper import backend as whisper
from inference.backends.whisper import label_scorer
from inference.backends.whisper.window import (
    HOP_SAMPLES,
    LEAD_FRAMES,
    LONGEST_SHORT_FRAMES,
    MARGIN_FRAMES,
    SHORTEST_FRAMES,
    STANDARD_FRAMES,
    STEP_FRAMES,
    encode,
    log_mel,
    place,
    short_window,
)
from inference.stage_timer import collect_stages
from inference.vocabulary import DIGITS, Vocabulary
from tests.random_whisper import make_model, make_tokenizer, token_id, write_ctranslate2

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


def test_the_short_window_holds_the_audio_and_its_margins() -> None:
    assert short_window(SAMPLING_RATE // 2) == SHORTEST_FRAMES
    for num_samples in range(1600, 5 * SAMPLING_RATE, 1111):
        num_frames = short_window(num_samples)
        silence = num_frames - LEAD_FRAMES - num_samples / HOP_SAMPLES
        assert silence >= MARGIN_FRAMES
        assert num_frames == SHORTEST_FRAMES or silence < MARGIN_FRAMES + STEP_FRAMES


def test_audio_is_placed_into_silence_after_a_lead() -> None:
    window = place(CLIPS[0], 200)
    lead = LEAD_FRAMES * HOP_SAMPLES
    np.testing.assert_array_equal(window[lead : lead + CLIPS[0].size], CLIPS[0])
    assert not window[:lead].any()
    assert not window[lead + CLIPS[0].size :].any()


def test_the_lead_gives_way_to_audio_and_longer_audio_is_cut() -> None:
    long = np.ones(200 * HOP_SAMPLES, dtype=np.float32)
    np.testing.assert_array_equal(place(long[1600:], 200)[1600:], long[1600:])
    np.testing.assert_array_equal(place(np.tile(long, 2), 200), long)


def test_longer_audio_gets_the_standard_window_and_the_library_call(tiny_whisper) -> None:
    clip = np.tile(CLIPS[0], 11)
    assert clip.size > LONGEST_SHORT_FRAMES * HOP_SAMPLES
    assert short_window(clip.size) == STANDARD_FRAMES
    short, standard = (
        load_backend("whisper", str(tiny_whisper), options={"decode": "free", "window": window})
        for window in ("short", "standard")
    )
    assert short.predict([clip]) == standard.predict([clip])


def test_own_decoding_equals_the_library_call_on_equal_windows(talking_whisper) -> None:
    """Same rules: only the window may make a difference."""
    options = {"decode": "free", "window": "standard"}
    expected = load_backend("whisper", str(talking_whisper), options=options).predict(CLIPS)
    short = load_backend("whisper", str(talking_whisper), options={"decode": "free", "window": "short"})
    assert all(prediction.score for prediction in expected)
    for prediction, clip in zip(expected, CLIPS, strict=True):
        # As the library makes it: features of the bare audio, zeros after them.
        features = short._model.feature_extractor(clip)[:, :-1]
        window = np.pad(features, ((0, 0), (0, STANDARD_FRAMES - features.shape[1])))
        (own,) = short._decoder.decode(encode(short._model, [window]))
        assert (own.label, own.hypothesis, own.reason) == (
            prediction.label,
            prediction.hypothesis,
            prediction.reason,
        )
        assert own.score == pytest.approx(prediction.score)


# --- scored labels --------------------------------------------------------------------------------


def test_probabilities_of_labels_and_none_sum_to_one(tiny_whisper) -> None:
    backend = load_backend("whisper", str(tiny_whisper), options={"decode": "constrained"})
    for prediction in backend.predict(CLIPS):
        assert prediction.label == DIGITS.labels[int(np.argmax(prediction.probabilities))]
        assert prediction.score == max(prediction.probabilities)
        assert sum(prediction.probabilities) + prediction.none_probability == pytest.approx(1.0)
        assert prediction.hypothesis is None
        # Random weights hear no digit in noise: the answer stands, and is not shown.
        assert prediction.none_probability > prediction.score
        assert backend.operating_point.decide(prediction).label is None


def test_prompted_decoding_asks_with_and_without_the_labels(tiny_whisper) -> None:
    backend = load_backend("whisper", str(tiny_whisper), options={"decode": "prompted"})
    bare, prompted = backend._decoder._prompts
    told = prompted[: -len(bare)]
    text = backend._model.hf_tokenizer.decode(told)
    assert text.split() == [forms[0] for forms in DIGITS.spoken_forms.values()]
    assert prompted[len(told) :] == bare


def test_the_mean_of_log_probabilities_counts(tiny_whisper) -> None:
    model = load_backend("whisper", str(tiny_whisper))._model
    encoded = encode(model, [log_mel(model, place(clip, 200)) for clip in CLIPS[:2]])
    texts = (None, label_scorer.label_list())
    alone = [label_scorer.LabelScorer(model, (text,)).decode(encoded) for text in texts]
    both = label_scorer.LabelScorer(model, texts).decode(encoded)
    rows = np.array([[[*found.probabilities, found.none_probability] for found in way] for way in alone])
    expected = np.exp(np.log(rows).mean(axis=0))
    expected /= expected.sum(axis=1, keepdims=True)
    found = [[*prediction.probabilities, prediction.none_probability] for prediction in both]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_long_list_of_labels_fits_the_decoder(monkeypatch, tiny_whisper) -> None:
    model = load_backend("whisper", str(tiny_whisper))._model
    words = ("".join(letters) for letters in itertools.product("abcd", repeat=4))
    vocabulary = Vocabulary({word: (word,) for word in words})
    monkeypatch.setattr(label_scorer, "vocabulary", lambda: vocabulary)
    scorer = label_scorer.LabelScorer(model, [label_scorer.label_list()])
    assert len(scorer._prompts[0]) <= 224 + 4


def test_homophones_count_where_they_are_asked_for() -> None:
    assert " for" not in set(label_scorer.written_forms("4"))
    assert {" four", " for", " For"} <= set(label_scorer.written_forms("4", homophones=True))
    assert " for" not in set(label_scorer.written_forms("2", homophones=True))


def test_temperature_softens_and_keeps_the_order(tiny_whisper) -> None:
    model = load_backend("whisper", str(tiny_whisper))._model
    encoded = encode(model, [log_mel(model, place(CLIPS[0], 200))])
    (sharp,), (soft,) = (
        label_scorer.LabelScorer(model, temperature=temperature).decode(encoded) for temperature in (1.0, 3.0)
    )
    assert sharp.label == soft.label
    assert sharp.none_probability > soft.none_probability > soft.score > sharp.score


def test_public_vocabularies_need_one_step(tiny_whisper) -> None:
    """In them, as here, " seven" is one token; spellings of several tokens are left out."""
    scorer = label_scorer.LabelScorer(load_backend("whisper", str(tiny_whisper))._model)
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
    monkeypatch.setattr(label_scorer, "vocabulary", lambda: Vocabulary(spoken_forms))
    monkeypatch.setattr(whisper, "COMPUTE_TYPE", "float32")
    tokenizer = make_tokenizer()
    network = make_model(tokenizer).eval()
    with torch.no_grad():
        network.model.decoder.embed_tokens.weight *= 5.0  # else all tokens are about equally probable
    folder = write_ctranslate2(network, tokenizer, tmp_path / "model", "scores")
    model = whisper.load_model(folder, 1)
    scorer = label_scorer.LabelScorer(model)
    features = [log_mel(model, place(clip, 200)) for clip in CLIPS[:2]]
    encoded = encode(model, features)
    (decoder_prompt,) = scorer._prompts
    found = scorer._label_probabilities(scorer._next_token_probabilities(encoded, decoder_prompt))

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
