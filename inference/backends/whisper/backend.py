"""Zero-shot Whisper through faster-whisper: the labels scored alone, or free transcription.

Window, features, encoder, scores of the labels, probabilities: one pass without a text. Whisper
(Radford et al. 2022, https://arxiv.org/abs/2212.04356) was made to write down what it hears in 30 s
windows; that is ``decode=free`` with ``window=standard``, greedy English without a list of labels, the
plain reference. Each combination of the options is a system of its own in every table.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.backends.base import Backend
from inference.backends.whisper.ctranslate2_file import count_parameters, read_shapes
from inference.backends.whisper.decoder import LANGUAGE, MAX_NEW_TOKENS, GreedyDecoder, Transcript
from inference.backends.whisper.folder import calibrated_operating_point, checkpoint_files, find_folder
from inference.backends.whisper.label_scorer import LabelScorer, label_list
from inference.backends.whisper.window import (
    STANDARD_FRAMES,
    encode,
    encoder_multiply_accumulates,
    log_mel,
    place,
    short_window,
)
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

    Scored labels have probabilities, and so has "none of them". The score of a transcript is the
    geometric mean of the token probabilities, ``exp(avg_logprob)``, of the least certain segment: how
    sure the recogniser is of its text, not a probability among the labels.

    Args:
        folder: A CTranslate2 folder that passed ``folder.find_folder``.
        threads: CPU threads of one prediction.
        decode: ``constrained``: the labels are scored; ``prompted``: twice, once after their list as previous
            text; ``free``: Whisper writes what it hears.
        window: ``short`` encodes the utterance and silence around it, ``standard`` 30 s.
        homophones: ``on`` to take "to", "for", "ate" and "won" for digits.
    """

    zero_shot = True
    arithmetic = COMPUTE_TYPE

    def __init__(
        self,
        folder: Path,
        threads: int,
        decode: str = "prompted",
        window: str = "short",
        homophones: str = "off",
    ):
        self._model = load_model(folder, threads)
        self._folder = folder
        self._window = window
        self._homophones = homophones == "on"
        self._decoder: LabelScorer | GreedyDecoder
        if decode == "free":
            self._decoder = GreedyDecoder(self._model, self._homophones)
        else:
            self.operating_point = calibrated_operating_point(folder, decode)
            self._decoder = LabelScorer(
                self._model,
                previous_texts=(None, label_list()) if decode == "prompted" else (None,),
                temperature=self.operating_point.temperature,
                homophones=self._homophones,
            )
        self.checkpoint_files = checkpoint_files(folder)
        self.num_parameters = count_parameters(folder / "model.bin")

    @classmethod
    def load(
        cls,
        checkpoint: str,
        threads: int = 1,
        decode: str = "prompted",
        window: str = "short",
        homophones: str = "off",
    ) -> "WhisperBackend":
        """Loads a model size ("tiny.en"), a Hub id or a local CTranslate2 folder.

        Raises:
            CheckpointError: If the folder is missing or incomplete, or the name is unknown.
            BackendUnavailableError: If the weights are neither here nor to be had.
        """
        return cls(find_folder(checkpoint), threads, decode, window, homophones)

    def predict(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Recognises each waveform, ``(num_samples,)`` at 16 kHz; clips of one window share a batch."""
        predictions: dict[int, Prediction] = {}
        by_window: dict[int, list[int]] = defaultdict(list)
        for row, waveform in enumerate(waveforms):
            by_window[self._num_frames(waveform.size)].append(row)
        for num_frames, rows in by_window.items():
            # A batch takes no more memory than one standard window does.
            batch_size = STANDARD_FRAMES // num_frames
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                answers = self._answer([waveforms[row] for row in batch], num_frames)
                predictions |= dict(zip(batch, answers, strict=True))
        return [predictions[row] for row in range(len(waveforms))]

    def multiply_accumulates(self, num_samples: int) -> int | None:
        """The encoder's part; what the decoder adds depends on what is said, and is a few tokens' worth."""
        shapes = read_shapes(self._folder / "model.bin")
        return None if shapes is None else encoder_multiply_accumulates(shapes, self._num_frames(num_samples))

    def _num_frames(self, num_samples: int) -> int:
        return short_window(num_samples) if self._window == "short" else STANDARD_FRAMES

    def _answer(self, waveforms: Sequence[np.ndarray], num_frames: int) -> list[Prediction]:
        """Window, features, encoder, decoder, for clips of one window."""
        if num_frames == STANDARD_FRAMES and isinstance(self._decoder, GreedyDecoder):
            return [self._transcribe(waveform) for waveform in waveforms]
        with stage("features"):
            features = [log_mel(self._model, place(waveform, num_frames)) for waveform in waveforms]
        with stage("model"):
            encoded = encode(self._model, features)
        return self._decoder.decode(encoded)

    def _transcribe(self, waveform: np.ndarray) -> Prediction:
        """The library's own call: the reference."""
        with stage("features"):
            segments, _ = self._model.transcribe(waveform, **TRANSCRIBE_OPTIONS)
        with stage("model"):
            # The segments are a generator: nothing has been decoded before it is consumed.
            answers = [(segment.text, segment.avg_logprob) for segment in segments]
        with stage("post"):
            text = "".join(text for text, _ in answers).strip()
            transcript = Transcript(text, min((logprob for _, logprob in answers), default=-math.inf))
            return transcript.prediction(self._homophones)


def load_model(folder: Path, threads: int) -> "WhisperModel":
    """Loads a folder that passed ``folder.find_folder``; CheckpointError if the library cannot."""
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
