"""What a student of pretraining learns from: synthetic voices, and recordings where there are any."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from finetune.checkpoint.split_card import SplitCard
from finetune.corpus.clip import Clip, Corpus, CorpusSource
from finetune.corpus.non_words import recorded_non_words, spoken_words
from finetune.corpus.splits import Split
from finetune.corpus.synthetic import training_voices
from finetune.training.data import DataArguments, gather, non_word_sources

#: Spoken takes of each label of the vocabulary.
TAKES_PER_LABEL = 300


@dataclass(frozen=True)
class Lessons:
    """What a student learns from.

    Attributes:
        corpus: The one that was split; synthetic voices where there is no other.
        split: Words of the vocabulary, and all that synthetic voices speak.
        non_words: Recordings of other words.
        sources: Where all of it comes from, for the card.
    """

    corpus: Corpus
    split: Split
    non_words: tuple[Clip, ...]
    sources: tuple[CorpusSource, ...]

    @property
    def clips(self) -> tuple[Clip, ...]:
        """All of them."""
        return (*self.split.train, *self.non_words, *self.split.synthetic)

    def card(self) -> SplitCard:
        """What was heard, for those who fine-tune the student."""
        return SplitCard.from_split(self.corpus, self.split, self.sources, self.non_words)


def gather_lessons(data: DataArguments | None, non_words: Sequence[str], num_words: int) -> Lessons:
    """Collects them; of corpora only what the split gives to training.

    Args:
        data: Which corpora, None for no recordings of the vocabulary.
        non_words: Folders of recordings of other words.
        num_words: Other words of synthetic voices.

    Raises:
        CorpusError: If a corpus cannot be used.
    """
    voices = training_voices(TAKES_PER_LABEL)
    spoken = (*voices, *spoken_words("train", num_words))
    made = CorpusSource("synthetic", f"{len(spoken)} words of synthetic voices (espeak-ng)")
    others, sources = recorded_non_words(non_words), non_word_sources("non-words", non_words)
    if data is None:
        corpus, split = Corpus("synthetic", made.description, voices), Split("official", 0, None, (), (), ())
    else:
        gathered = gather(data)
        corpus, split = gathered.corpora[0], replace(gathered.split, validation=())
        sources = (*gathered.sources, *sources)
    return Lessons(corpus, replace(split, synthetic=spoken), others, (made, *sources))
