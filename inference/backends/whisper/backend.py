"""Zero-shot Whisper through faster-whisper: free transcription, prompted, or the labels scored alone.

Whisper (Radford et al. 2022, https://arxiv.org/abs/2212.04356) writes down what it hears in 30 s
windows. The reference asks for a few English words by greedy search and nothing else: no list of
labels, so that the figure is that of an unprompted recogniser. ``decode`` and ``window`` change what
is asked and how much audio is encoded; each combination is a system of its own in every table.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.backends.base import Backend
from inference.backends.whisper.ctranslate2_file import count_parameters, read_shapes
from inference.backends.whisper.decoder import MAX_NEW_TOKENS, GreedyDecoder, Transcript, label_prompt
from inference.backends.whisper.folder import checkpoint_files, find_folder
from inference.backends.whisper.label_scorer import LabelScorer
from inference.backends.whisper.tokens import LANGUAGE
from inference.backends.whisper.window import (
    STANDARD_FRAMES,
    encode,
    encoder_multiply_accumulates,
    log_mel,
    short_window,
)
from inference.checkpoint import read_operating_point
from inference.errors import CheckpointError
from inference.prediction import Prediction
from inference.stage_timer import stage

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

#: Weights in 8 bits: a quarter of the size, no slower, and every CPU has it (float16 is refused there).
COMPUTE_TYPE = "int8"

#: One short word. The three thresholds would re-decode or drop a segment, and the voice detector
#: drops short clips altogether; without them the cost does not depend on the content.
TRANSCRIBE_OPTIONS: dict[str, Any] = {
    "language": LANGUAGE,
    "task": "transcribe",
    "beam_size": 1,
    "temperature": 0.0,
    "compression_ratio_threshold": None,
    "log_prob_threshold": None,
    "no_speech_threshold": None,
    "condition_on_previous_text": False,
    "without_timestamps": True,
    "vad_filter": False,
    "max_new_tokens": MAX_NEW_TOKENS,
}


class WhisperBackend(Backend):
    """Whisper in CTranslate2 format on the CPU.

    The score of a transcript is the geometric mean of the token probabilities, ``exp(avg_logprob)``,
    of the least certain segment: how sure the recogniser is of its text, not a probability among the
    labels. Constrained decoding gives probabilities of the labels and of none of them.

    Args:
        folder: A CTranslate2 folder that passed ``whisper_folder.find_folder``.
        threads: CPU threads of one prediction.
        decode: ``free`` transcription, ``prompted`` with the list of labels, or ``constrained``: the
            labels are scored and nothing is written.
        window: ``standard`` encodes 30 s, ``short`` the utterance and a margin.
    """

    zero_shot = True
    arithmetic = COMPUTE_TYPE

    def __init__(self, folder: Path, threads: int, decode: str = "free", window: str = "standard"):
        self._model = _load_model(folder, threads)
        self._folder = folder
        self._window = window
        self._prompt = label_prompt() if decode == "prompted" else None
        self._scorer = LabelScorer(self._model) if decode == "constrained" else None
        self._decoder = GreedyDecoder(self._model, self._prompt) if window == "short" else None
        self.operating_point = read_operating_point(folder)
        self.checkpoint_files = checkpoint_files(folder)
        self.num_parameters = count_parameters(folder / "model.bin")

    @classmethod
    def load(
        cls, checkpoint: str, threads: int = 1, decode: str = "free", window: str = "standard"
    ) -> "WhisperBackend":
        """Loads a model size ("tiny.en"), a Hub id or a local CTranslate2 folder.

        Raises:
            CheckpointError: If the folder is missing or incomplete, or the name is unknown.
            BackendUnavailableError: If the weights are neither here nor to be had.
        """
        return cls(find_folder(checkpoint), threads, decode, window)

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Recognises each waveform, ``(num_samples,)`` at 16 kHz; clips of one window share a batch."""
        predictions: dict[int, Prediction] = {}
        by_window: dict[int, list[int]] = defaultdict(list)
        for row, waveform in enumerate(waveforms):
            num_frames = self._num_frames(waveform.size)
            if num_frames == STANDARD_FRAMES and not self._scorer:
                predictions[row] = self._transcribe(waveform)
            else:
                by_window[num_frames].append(row)
        for num_frames, rows in by_window.items():
            # A batch takes no more memory than one standard window does.
            batch_size = STANDARD_FRAMES // num_frames
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                answers = self._decode([waveforms[row] for row in batch], num_frames)
                predictions |= dict(zip(batch, answers, strict=True))
        return [predictions[row] for row in range(len(waveforms))]

    def multiply_accumulates(self, num_samples: int) -> int | None:
        """The encoder's part; what the decoder adds depends on what is said, and is a few tokens' worth."""
        shapes = read_shapes(self._folder / "model.bin")
        return None if shapes is None else encoder_multiply_accumulates(shapes, self._num_frames(num_samples))

    def _num_frames(self, num_samples: int) -> int:
        return short_window(num_samples) if self._window == "short" else STANDARD_FRAMES

    def _decode(self, waveforms: Sequence[np.ndarray], num_frames: int) -> list[Prediction]:
        """Encodes clips in windows of one length and decodes them together."""
        with stage("features"):
            features = [log_mel(self._model, waveform) for waveform in waveforms]
        with stage("model"):
            encoded = encode(self._model, features, num_frames)
        decoder = self._scorer or self._decoder
        assert decoder is not None, "only short windows and scored labels are decoded here"
        return decoder.decode(encoded)

    def _transcribe(self, waveform: np.ndarray) -> Prediction:
        """The library's own call: the reference."""
        with stage("features"):
            segments, _ = self._model.transcribe(waveform, initial_prompt=self._prompt, **TRANSCRIBE_OPTIONS)
        with stage("model"):
            # The segments are a generator: nothing has been decoded before it is consumed.
            answers = [(segment.text, segment.avg_logprob) for segment in segments]
        with stage("post"):
            text = "".join(text for text, _ in answers).strip()
            return Transcript(text, min((logprob for _, logprob in answers), default=-math.inf)).prediction()


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
