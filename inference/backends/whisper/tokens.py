"""The tokens around a transcript: language, task and what comes before the text."""

from typing import TYPE_CHECKING

from faster_whisper.tokenizer import Tokenizer

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

LANGUAGE = "en"


def english_tokenizer(model: "WhisperModel") -> Tokenizer:
    """The model's tokenizer, set to transcribe English."""
    return Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=LANGUAGE)


def start_tokens(tokenizer: Tokenizer) -> list[int]:
    """What the decoder is given before the text: language, task, no time stamps."""
    return [*tokenizer.sot_sequence, tokenizer.no_timestamps]
