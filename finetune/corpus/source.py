"""What had a part in a model, recordings and weights, as its cards name them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CorpusSource:
    """What a model was made with, for its cards.

    Attributes:
        use: What they served for: "split", "learned from", "validation", "non-words", "validation non-words",
            "weights".
        description: One sentence.
        notice: Licence and attribution, the text of ``NOTICE``; empty where the folder has none.
    """

    use: str
    description: str
    notice: str = ""
