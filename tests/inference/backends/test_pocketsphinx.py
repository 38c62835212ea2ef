"""PocketSphinx with the real recogniser, on synthetic digits and, where there are any, recorded ones."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from inference.audio import SAMPLING_RATE, decode_audio
from inference.backends.table import load_backend
from inference.errors import CheckpointError
from inference.vocabulary import DIGITS

pocketsphinx = pytest.importorskip("pocketsphinx", reason="the extra 'pocketsphinx' is not installed")

from inference.backends.pocketsphinx import NOISE_DBFS, TARGET_DBFS, to_pcm, word_grammar  # noqa: E402


@pytest.fixture(scope="module")
def backend():
    return load_backend("pocketsphinx")


@pytest.fixture(scope="module")
def spoken_digits() -> list[np.ndarray]:
    """Ten waveforms from a synthetic voice, in the order of the labels."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        pytest.skip("espeak-ng is not installed")
    words = [DIGITS.spoken_forms[label][0] for label in DIGITS.labels]
    command = [espeak, "-v", "en-us", "-s", "150", "--stdout"]
    return [
        decode_audio(subprocess.run([*command, word], capture_output=True, check=True).stdout)
        for word in words
    ]


def test_synthetic_digits_are_recognised(backend, spoken_digits):
    predictions = backend.predict(spoken_digits)
    right = sum(p.label == label for p, label in zip(predictions, DIGITS.labels, strict=True))
    assert right >= 8
    for prediction in predictions:
        assert prediction.label in (*DIGITS.labels, None)
        assert prediction.hypothesis is not None
        assert prediction.reason
        assert prediction.score is None
        assert prediction.probabilities is None


def test_answer_does_not_depend_on_the_clips_before(backend, spoken_digits):
    """The noise tracker and the cepstral mean would carry over; loud noise in between shows it."""
    loud_noise = np.random.default_rng(1).uniform(-1, 1, 2 * SAMPLING_RATE).astype(np.float32)
    hum = (0.5 * np.sin(np.arange(SAMPLING_RATE) * 0.05)).astype(np.float32)
    alone = [load_backend("pocketsphinx").predict([clip])[0] for clip in spoken_digits]
    after_others = []
    for clip in reversed(spoken_digits):
        after_others.append(backend.predict([loud_noise, hum, clip])[2])
    assert list(reversed(after_others)) == alone


def test_level_does_not_matter(backend, spoken_digits):
    quiet = [0.05 * clip for clip in spoken_digits]
    labels = [prediction.label for prediction in backend.predict(spoken_digits)]
    assert [prediction.label for prediction in backend.predict(quiet)] == labels


@pytest.mark.parametrize("num_samples", [SAMPLING_RATE // 10, 3 * SAMPLING_RATE])
def test_silence_has_a_well_formed_answer(backend, num_samples):
    (prediction,) = backend.predict([np.zeros(num_samples, dtype=np.float32)])
    assert prediction.hypothesis is not None
    assert prediction.reason


def test_nothing_is_written_to_the_terminal(capfd, spoken_digits):
    load_backend("pocketsphinx").predict([*spoken_digits, np.zeros(SAMPLING_RATE, dtype=np.float32)])
    assert capfd.readouterr() == ("", "")


def test_grammar_has_every_form_of_the_dictionary_and_no_other():
    class Dictionary:
        def lookup_word(self, word):
            return None if word in ("oh", "niner") else "P H O N E S"

    grammar = word_grammar(Dictionary())
    assert "( zero | o ) | ( one ) | ( two )" in grammar
    assert "( nine )" in grammar
    assert "niner" not in grammar


def test_facts_for_the_table(backend):
    assert backend.zero_shot
    assert backend.num_parameters is None
    assert backend.checkpoint_bytes > 5_000_000
    assert {"means", "mdef", "cmudict-en-us.dict"} <= {path.name for path in backend.checkpoint_files}


def test_other_checkpoint_is_refused():
    with pytest.raises(CheckpointError, match="only its bundled model, received 'de-de'"):
        load_backend("pocketsphinx", "de-de")


def test_pcm_is_levelled_padded_and_never_silent():
    clip = (0.01 * np.sin(np.arange(SAMPLING_RATE) * 0.3)).astype(np.float32)
    samples = np.frombuffer(to_pcm(clip), dtype="<i2") / 32768
    padding = SAMPLING_RATE // 5
    assert samples.size == clip.size + 2 * padding
    assert _dbfs(samples[padding:-padding]) == pytest.approx(TARGET_DBFS, abs=0.1)
    for silent in (samples[:padding], samples[-padding:]):
        assert _dbfs(silent) == pytest.approx(NOISE_DBFS, abs=0.5)
    assert to_pcm(clip) == to_pcm(clip)


def _dbfs(samples: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(samples))))


def test_recorded_digits(backend):
    """The official test recordings: at least 0.70 is promised."""
    recordings = os.environ.get("SPOKEN_DIGITS_DATA")
    if not recordings:
        pytest.skip("SPOKEN_DIGITS_DATA does not name a folder of recordings")
    paths = [p for p in sorted(Path(recordings).glob("*_*_*.wav")) if int(p.stem.split("_")[2]) < 5]
    paths = paths[::3]
    predictions = backend.predict([decode_audio(path) for path in paths])
    right = sum(path.name[0] == prediction.label for path, prediction in zip(paths, predictions, strict=True))
    assert right / len(paths) >= 0.70
