"""The Python call: what it takes, what it gives, and that importing it costs nothing."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from inference import recognise
from inference.app.page import EXAMPLES
from inference.audio import decode_audio
from inference.backends import table
from inference.errors import AudioError, UserError
from inference.vocabulary import DIGITS
from tests.conftest import PROJECT

SEVEN = EXAMPLES / "seven.flac"


def test_a_path_bytes_a_file_and_samples_give_one_answer() -> None:
    samples, rate = soundfile.read(SEVEN)  # float64, as most libraries give
    with SEVEN.open("rb") as file:
        answers = [recognise(SEVEN), recognise(str(SEVEN)), recognise(SEVEN.read_bytes()), recognise(file)]
    answers.append(recognise(samples, rate))
    assert {answer.label for answer in answers} == {"7"}
    assert answers[0].reason is None
    assert tuple(answers[0].probabilities) == DIGITS.labels
    for answer in answers:
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=1e-3)


def test_samples_of_any_rate_are_brought_to_that_of_the_backends() -> None:
    waveform = np.repeat(decode_audio(SEVEN), 3)
    assert recognise(waveform, 48_000).label == "7"


def test_a_backend_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    load = table.load_backend
    monkeypatch.setattr(table, "load_backend", lambda *wanted: loaded.append(wanted) or load(*wanted))
    for _ in range(3):
        assert recognise(SEVEN, backend="logmel-dscnn", threads=2).label == "7"
    assert len(loaded) == 1


def test_silence_is_rejected_with_a_reason() -> None:
    answer = recognise(np.zeros(16_000, np.float32), 16_000)
    assert answer.label is None
    assert answer.reason in ("low_score", "unknown_class")


@pytest.mark.parametrize(("audio", "sampling_rate", "message"), [
    (np.zeros(16_000, np.float32), None, "an array of samples comes with its rate"),
    (SEVEN, 16_000, "a file without"),
    (np.zeros(16_000, np.int16), 16_000, "divide by 32768"),
    (np.zeros((2, 16_000), np.float32), 16_000, "expected mono"),
    ([0.0] * 16_000, 16_000, "list"),
    ([0.0] * 16_000, None, "list"),
    ("none.wav", None, "does not exist"),
])  # fmt: skip
def test_what_cannot_be_used_is_a_sentence(audio, sampling_rate: int | None, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        recognise(audio, sampling_rate)


def test_an_unknown_backend_and_option() -> None:
    with pytest.raises(UserError, match="choose one of: mfcc"):
        recognise(SEVEN, backend="nonesuch")
    with pytest.raises(UserError, match="has no option 'runtime'"):
        recognise(SEVEN, runtime="torch")


def test_importing_it_loads_neither_numpy_nor_a_model() -> None:
    heavy = "{'numpy', 'onnxruntime', 'av'}"
    code = f"import sys; from inference import recognise; print({heavy} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
