"""What a student of pretraining learns from: synthetic voices, and recordings where there are any."""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.corpus.clip import Clip
from finetune.corpus.non_words import recorded_non_words, spoken_words
from finetune.corpus.source import CorpusSource
from finetune.corpus.synthetic import training_voices
from finetune.training.data import DataArguments, gather, non_word_sources

#: Spoken takes of each label of the vocabulary.
TAKES_PER_LABEL = 300


@dataclass(frozen=True)
class Lessons:
    """What a student learns from.

    Attributes:
        clips: Words, of the vocabulary or not.
        sources: Where they come from, for the card.
    """

    clips: tuple[Clip, ...]
    sources: tuple[CorpusSource, ...]


def gather_lessons(data: DataArguments | None, non_words: Sequence[str], num_words: int) -> Lessons:
    """Collects them; of corpora only what the split gives to training.

    Args:
        data: Which corpora, None for no recordings of the vocabulary.
        non_words: Folders of recordings of other words.
        num_words: Other words of synthetic voices.

    Raises:
        CorpusError: If a corpus cannot be used.
    """
    spoken = (*training_voices(TAKES_PER_LABEL), *spoken_words("train", num_words))
    made = CorpusSource("learned from", f"{len(spoken)} words of synthetic voices (espeak-ng)")
    recorded, sources = recorded_non_words(non_words), non_word_sources("non-words", non_words)
    if data is not None:
        gathered = gather(data)
        recorded, sources = (*gathered.split.train, *recorded), (*gathered.sources, *sources)
    return Lessons((*recorded, *spoken), (made, *sources))
