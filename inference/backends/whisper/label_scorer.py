"""Labels scored alone: how probable is each label as the next words, and none of them?

Whisper is asked for no text. One step of the decoder gives the probability of every token; those of
a label's written forms are added up. The ten digits are single tokens in the public vocabularies; a
label that is none is scored by the product over its tokens, at a decoder step each.

The decoder may be told text that came before. The list of labels there makes it expect one of them:
fewer digits are taken for other words, but more noise is taken for a digit. Asked both ways, with the
mean of the log-probabilities, it errs less in either direction (measured on validation speakers).
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from ctranslate2 import StorageView

from inference.backends.transcripts import HOMOPHONES
from inference.backends.whisper.decoder import english_tokenizer, start_tokens
from inference.prediction import (
    LEAST_PROBABILITY,
    Prediction,
    prediction_from_probabilities,
    softmax,
)
from inference.stage_timer import stage
from inference.vocabulary import vocabulary

if TYPE_CHECKING:
    from ctranslate2.models import WhisperGenerationResult
    from faster_whisper import WhisperModel
    from faster_whisper.tokenizer import Tokenizer

#: Half of the decoder's 448 positions are for what came before, one of them for the mark that says so.
MAX_PREVIOUS_TOKENS = 223

Tokens = tuple[int, ...]


class LabelScorer:
    """Posterior over the labels and "none of them".

    Args:
        model: The loaded model.
        previous_texts: What the decoder is told to have heard before, None for nothing; of several the mean
            of the log-probabilities counts.
        temperature: Divides the log-probabilities (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        homophones: Whether words that sound like a label ("to", "for") count for it.
    """

    def __init__(
        self,
        model: "WhisperModel",
        previous_texts: Sequence[str | None] = (None,),
        temperature: float = 1.0,
        homophones: bool = False,
    ):
        self._model = model.model
        self._temperature = temperature
        tokenizer = english_tokenizer(model)
        self._prompts = [_prompt(tokenizer, text) for text in previous_texts]
        self._forms = [
            _shortest({tuple(tokenizer.encode(text)) for text in written_forms(label, homophones)})
            for label in vocabulary().spoken_forms
        ]
        sequences = {form for forms in self._forms for form in forms}
        #: What is given to the decoder in order to see the last token of some form, the shorter ones first.
        self._prefixes = sorted({form[:-1] for form in sequences}, key=len)
        self._extensions = {
            form: [other for other in sequences if other[: len(form)] == form and other != form]
            for form in sequences
        }

    def decode(self, encoded: StorageView) -> list[Prediction]:
        """One prediction per encoded window, ``(num_clips, positions, width)``."""
        with stage("model"):
            steps = [self._next_token_probabilities(encoded, prompt) for prompt in self._prompts]
        with stage("post"):
            rows = np.stack([self._label_probabilities(found) for found in steps])
            logarithms = np.log(np.maximum(rows, LEAST_PROBABILITY)).mean(axis=0)
            return [prediction_from_probabilities(row) for row in softmax(logarithms / self._temperature)]

    def _label_probabilities(self, steps: dict[Tokens, np.ndarray]) -> np.ndarray:
        """Probability of each label and of none, ``(num_clips, num_labels + 1)``; rows sum to one.

        Args:
            steps: For each prefix the distribution of the token after it.
        """
        exclusive: dict[Tokens, np.ndarray] = {}
        for form in sorted(self._extensions, key=len, reverse=True):
            reached = np.prod([steps[form[:end]][:, token] for end, token in enumerate(form)], axis=0)
            # " six" is also how " sixteen" may begin: what a longer form takes is not the shorter one's.
            longer = sum((exclusive[other] for other in self._extensions[form]), np.zeros(len(reached)))
            exclusive[form] = np.maximum(reached - longer, 0.0)
        labels = np.stack([sum(exclusive[form] for form in forms) for forms in self._forms], axis=1)
        return np.column_stack([labels, np.maximum(1.0 - labels.sum(axis=1), 0.0)])

    def _next_token_probabilities(self, encoded: StorageView, prompt: list[int]) -> dict[Tokens, np.ndarray]:
        """Beginning of a form -> distribution of the token after it, ``(num_clips, vocabulary)``."""
        num_clips = encoded.shape[0]
        found: dict[Tokens, np.ndarray] = {}
        for length, group in itertools.groupby(self._prefixes, key=len):
            prefixes = list(group)
            # Every prefix needs its own copy of the audio. The empty one is alone, and all there is as
            # a rule.
            audio = encoded if len(prefixes) == 1 else _repeated(encoded, len(prefixes))
            prompts = [[*prompt, *prefix] for prefix in prefixes for _ in range(num_clips)]
            results = self._generate(audio, prompts, num_steps=length + 1)
            for place, prefix in enumerate(prefixes):
                rows = results[place * num_clips : (place + 1) * num_clips]
                # What is given of the text is decoded, too: each of its steps has logits.
                for end in range(length + 1):
                    logits = np.stack([np.asarray(row.logits[0][end]) for row in rows])
                    found[prefix[:end]] = softmax(logits)
        return found

    def _generate(
        self, audio: StorageView, prompts: list[list[int]], num_steps: int
    ) -> "list[WhisperGenerationResult]":
        return self._model.generate(
            audio,
            prompts,
            beam_size=1,
            # Counts the tokens before the text, and grants the text no more than half.
            max_length=max(len(prompts[0]) + 1, 2 * num_steps),
            suppress_blank=False,
            suppress_tokens=[],
            return_logits_vocab=True,
        )


def label_list() -> str:
    """The usual spoken form of every label: what prompted decoding is told as text that came before.

    Without commas, capitals or numerals: they made the answers worse on training and validation speakers.
    """
    return " ".join(forms[0] for forms in vocabulary().spoken_forms.values())


def written_forms(label: str, homophones: bool = False) -> Iterable[str]:
    """How a transcript may begin with a label: its spoken forms, with a capital too, and numerals."""
    alike = [word for word, meant in HOMOPHONES.items() if homophones and meant == label]
    for form in (*vocabulary().spoken_forms[label], *alike):
        yield f" {form}"
        yield f" {form.capitalize()}"
    if vocabulary().is_digits:
        yield f" {label}"
        yield label


def _prompt(tokenizer: "Tokenizer", previous_text: str | None) -> list[int]:
    """What the decoder is given before the text."""
    if previous_text is None:
        return start_tokens(tokenizer)
    before = tokenizer.encode(f" {previous_text}")[-MAX_PREVIOUS_TOKENS:]
    return [tokenizer.sot_prev, *before, *start_tokens(tokenizer)]


def _shortest(forms: set[Tokens]) -> set[Tokens]:
    """The forms of fewest tokens: each further token costs a decoder step and adds a rare spelling."""
    fewest = min(map(len, forms))
    return {form for form in forms if len(form) == fewest}


def _repeated(encoded: StorageView, times: int) -> StorageView:
    """The clips again and again, ``(times * num_clips, positions, width)``."""
    return StorageView.from_array(np.tile(np.asarray(encoded), (times, 1, 1)))
