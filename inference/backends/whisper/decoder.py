"""The tokens around a transcript, and greedy transcription by the rules of ``WhisperModel.transcribe``.

The library's call can only be given 30 s windows, and prepares its tables of tokens anew each time.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from inference.backends.transcripts import match_transcript
from inference.prediction import Prediction
from inference.stage_timer import stage

if TYPE_CHECKING:
    from ctranslate2 import StorageView
    from faster_whisper import WhisperModel

LANGUAGE = "en"
#: A word of the vocabulary and its punctuation.
MAX_NEW_TOKENS = 8


def english_tokenizer(model: "WhisperModel") -> Tokenizer:
    """The model's tokenizer, set to transcribe English."""
    return Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=LANGUAGE)


def start_tokens(tokenizer: Tokenizer) -> list[int]:
    """What the decoder is given before the text: language, task, no time stamps."""
    return [*tokenizer.sot_sequence, tokenizer.no_timestamps]


class Transcript(NamedTuple):
    """A text and its mean log-probability per token, the end of the text included."""

    text: str
    avg_logprob: float

    def prediction(self, homophones: bool = False) -> Prediction:
        """The label that the text means, with the geometric mean of the token probabilities as score."""
        match = match_transcript(self.text, homophones)
        score = min(1.0, math.exp(self.avg_logprob)) if match.label is not None else None
        return Prediction(match.label, score=score, hypothesis=self.text, reason=match.reason)


class GreedyDecoder:
    """Writes down what encoded windows say.

    Args:
        model: The loaded model.
        homophones: Whether words that sound like a label ("to", "for") count for it.
    """

    def __init__(self, model: "WhisperModel", homophones: bool = False):
        self._model = model.model
        self._homophones = homophones
        self._tokenizer = english_tokenizer(model)
        self._prompt = start_tokens(self._tokenizer)
        self._suppressed = get_suppressed_tokens(self._tokenizer, [-1])

    def decode(self, encoded: "StorageView") -> list[Prediction]:
        """One prediction per encoded window, ``(num_clips, positions, width)``."""
        with stage("model"):
            results = self._model.generate(
                encoded,
                [self._prompt] * encoded.shape[0],
                beam_size=1,
                max_length=len(self._prompt) + MAX_NEW_TOKENS,
                suppress_blank=True,
                suppress_tokens=self._suppressed,
                return_scores=True,
            )
        with stage("post"):
            transcripts = [self._transcript(result.sequences_ids[0], result.scores[0]) for result in results]
            return [transcript.prediction(self._homophones) for transcript in transcripts]

    def _transcript(self, tokens: list[int], mean_logprob: float) -> Transcript:
        # The score is a mean over the tokens; the end of the text counts as one more, as in transcribe.
        text = self._tokenizer.decode(tokens).strip()
        return Transcript(text, mean_logprob * len(tokens) / (len(tokens) + 1))
