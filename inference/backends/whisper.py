"""Zero-shot Whisper through faster-whisper: free transcription, then the mapping of text to a digit.

Whisper (Radford et al. 2022, https://arxiv.org/abs/2212.04356) writes down what it hears in 30 s
windows; here it is asked for a few English words by greedy search and nothing else. It is given no
list of labels, so that the figure is that of an unprompted recogniser.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.backends.base import DigitBackend, Prediction
from inference.backends.ctranslate2_file import count_parameters
from inference.backends.whisper_folder import checkpoint_files, find_folder
from inference.errors import CheckpointError
from inference.transcripts import match_transcript

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

#: Weights in 8 bits: a quarter of the size, no slower, and every CPU has it (float16 is refused there).
COMPUTE_TYPE = "int8"

#: One short word. The three thresholds would re-decode or drop a segment, and the voice detector
#: drops short clips altogether; without them the cost does not depend on the content.
TRANSCRIBE_OPTIONS: dict[str, Any] = {
    "language": "en",
    "task": "transcribe",
    "beam_size": 1,
    "temperature": 0.0,
    "compression_ratio_threshold": None,
    "log_prob_threshold": None,
    "no_speech_threshold": None,
    "condition_on_previous_text": False,
    "without_timestamps": True,
    "vad_filter": False,
    "max_new_tokens": 8,
}


class WhisperBackend(DigitBackend):
    """Whisper in CTranslate2 format on the CPU.

    The score is the geometric mean of the token probabilities, ``exp(avg_logprob)``, of the least
    certain segment: how sure the recogniser is of its text, not a probability among ten digits.

    Args:
        folder: A CTranslate2 folder that passed ``whisper_folder.find_folder``.
        threads: CPU threads of one prediction.
    """

    zero_shot = True

    def __init__(self, folder: Path, threads: int):
        self._model = _load_model(folder, threads)
        self.checkpoint_files = checkpoint_files(folder)
        self.num_parameters = count_parameters(folder / "model.bin")

    @classmethod
    def load(cls, checkpoint: str, threads: int = 1) -> "WhisperBackend":
        """Loads a model size ("tiny.en"), a Hub id or a local CTranslate2 folder.

        Raises:
            CheckpointError: If the folder is missing or incomplete, or the name is unknown.
            BackendUnavailableError: If the weights are neither here nor to be had.
        """
        return cls(find_folder(checkpoint), threads)

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Transcribes each waveform, ``(num_samples,)`` at 16 kHz, and maps the text to a digit."""
        return [self._predict_one(waveform) for waveform in waveforms]

    def _predict_one(self, waveform: np.ndarray) -> Prediction:
        segments, _ = self._model.transcribe(waveform, **TRANSCRIBE_OPTIONS)
        # The segments are a generator: nothing has been decoded before it is consumed.
        answers = [(segment.text, segment.avg_logprob) for segment in segments]
        hypothesis = "".join(text for text, _ in answers).strip()
        match = match_transcript(hypothesis)
        score = None
        if match.label is not None:
            score = min(1.0, math.exp(min(logprob for _, logprob in answers)))
        return Prediction(label=match.label, score=score, hypothesis=hypothesis, reason=match.reason)


def _load_model(folder: Path, threads: int) -> "WhisperModel":
    from faster_whisper import WhisperModel

    try:
        model = WhisperModel(str(folder), device="cpu", compute_type=COMPUTE_TYPE, cpu_threads=threads)
    except Exception as error:  # tokenizers raises no narrower class
        raise CheckpointError(f"{folder} could not be loaded as a Whisper model: {error}") from error
    bands = len(model.feature_extractor.mel_filters)
    if bands != model.model.n_mels:
        raise CheckpointError(
            f"{folder} holds a model of {model.model.n_mels} mel bands, but its features have {bands}: "
            "preprocessor_config.json is missing or of another model. Copy it from the original model."
        )
    return model
