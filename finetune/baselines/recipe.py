"""Small recognisers fitted on the same splits as the big ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from inference.crop import CropContract
from inference.vocabulary import REJECT_LABEL, vocabulary

if TYPE_CHECKING:
    import numpy as np

    from finetune.corpus.clip import Clip

#: The shortest clip, in milliseconds; what is shorter is padded.
MIN_MS = 100


def class_ids() -> dict[str, int]:
    """Class of each label; the reject class comes last, where there is one."""
    return {**vocabulary().label2id, REJECT_LABEL: len(vocabulary().labels)}


class Fitted(Protocol):
    """A baseline ready to be asked or written."""

    @property
    def history(self) -> list[dict[str, float]]:
        """One record per epoch; empty for models without epochs."""

    @property
    def choices(self) -> dict[str, float]:
        """What was chosen on training clips, for the card."""

    @property
    def num_parameters(self) -> int:
        """Number of stored values."""

    def probabilities(self, clips: "Sequence[Clip]") -> "np.ndarray":
        """Probabilities ``(num_clips, num_labels)``."""

    def save(self, folder: Path) -> None:
        """Writes weights and feature settings."""


@dataclass(frozen=True)
class Recipe:
    """How one model is fitted.

    Attributes:
        title: For the card.
        contract: The crop the model is made for.
        fit: From clips to learn from, and clips to watch meanwhile, to the model.
    """

    title: str
    contract: CropContract
    fit: "Callable[[Sequence[Clip], Sequence[Clip]], Fitted]"


def recipe(model: str, seed: int, num_steps: int | None = None) -> Recipe:
    """The recipe of a model.

    Args:
        model: "mfcc-svm", "mfcc-logreg", "mfcc-cnn", "logmel-dscnn" or "speech-embedding".
        seed: Seed of everything drawn.
        num_steps: Optimizer steps of the networks; each one's own number if None.
    """
    contract = CropContract(min_ms=MIN_MS)
    # Imported here: who fits a network waits for no scikit-learn, and the other way round.
    fit: Any
    if model in STATISTICS_TITLES:
        from finetune.baselines.svm import fit_statistics

        title, fit = STATISTICS_TITLES[model], partial(fit_statistics, model, contract=contract, seed=seed)
    else:
        from finetune.baselines.cnn import NETWORKS, fit_cnn

        title = NETWORKS[model].title
        fit = partial(fit_cnn, model, contract=contract, seed=seed, num_steps=num_steps)
    return Recipe(f"{title} for {vocabulary().title}", contract, fit)


#: Models without optimizer steps, and what a card calls them.
STATISTICS_TITLES = {
    "mfcc-svm": "MFCC statistics and an RBF support vector machine",
    "mfcc-logreg": "MFCC statistics and logistic regression",
}
