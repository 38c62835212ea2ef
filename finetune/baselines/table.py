"""The small recognisers: what each is called, how many synthetic voices it wants, and how it is fitted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from finetune.corpus.clip import Clip
from finetune.corpus.splits import MAX_FOLDS
from inference.crop import CropContract
from inference.features import FeatureSettings
from inference.vocabulary import REJECT_LABEL, vocabulary

if TYPE_CHECKING:
    from finetune.soft_labels import SoftLabeller

#: The shortest clip, in milliseconds; what is shorter is padded.
MIN_MS = 100
#: Model -> share of synthetic voices that it learns from by default.
SYNTHETIC_SHARES = {
    "mfcc-svm": 0.0,
    "mfcc-logreg": 0.0,
    "mfcc-forest": 0.0,
    "mfcc-cnn": 0.4,
    "logmel-dscnn": 0.4,
    "speech-embedding": 0.4,
}
#: Models without optimizer steps, and what a card calls them.
STATISTICS_TITLES = {
    "mfcc-svm": "MFCC statistics and an RBF support vector machine",
    "mfcc-logreg": "MFCC statistics and logistic regression",
    "mfcc-forest": "MFCC statistics and a random forest",
}


@dataclass(frozen=True)
class StatisticsGrid:
    """What models of MFCC statistics choose from.

    Attributes:
        n_mfcc: Cepstral coefficients.
        regularisation: Values of C; each model's own where there are none.
        gammas: Widths of the kernel, in units of one over the number of statistics; likewise.
        folds: Parts of the cross-validation, at most.
    """

    n_mfcc: int = FeatureSettings.n_mfcc
    regularisation: tuple[float, ...] = ()
    gammas: tuple[float, ...] = ()
    folds: int = MAX_FOLDS


class FittedBaseline(Protocol):
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

    def probabilities(self, clips: Sequence[Clip]) -> np.ndarray:
        """Probabilities ``(num_clips, num_classes)``."""

    def save(self, folder: Path) -> None:
        """Writes weights and feature settings."""


@dataclass(frozen=True)
class Baseline:
    """A small recogniser that can be fitted.

    Attributes:
        title: For the card.
        contract: The crop the model is made for.
        fit: From clips to learn from, and clips to watch meanwhile, to the model.
    """

    title: str
    contract: CropContract
    fit: Callable[[Sequence[Clip], Sequence[Clip]], FittedBaseline]


def find_baseline(
    model: str,
    seed: int,
    num_steps: int | None = None,
    grid: StatisticsGrid | None = None,
    soft_labeller: "SoftLabeller | None" = None,
) -> Baseline:
    """The baseline of a name.

    Args:
        model: A key of ``SYNTHETIC_SHARES``.
        seed: Seed of everything drawn.
        num_steps: Optimizer steps of the networks; each one's own number if None.
        grid: What models of ``STATISTICS_TITLES`` choose from.
        soft_labeller: Adds to the labels of the networks.
    """
    contract = CropContract(min_ms=MIN_MS)
    # Imported here: who fits a network waits for no scikit-learn, and the other way round.
    fit: Any
    if model in STATISTICS_TITLES:
        from finetune.baselines.statistics_models import fit_statistics

        title, grid = STATISTICS_TITLES[model], grid or StatisticsGrid()
        fit = partial(fit_statistics, model, contract=contract, seed=seed, grid=grid)
    else:
        from finetune.baselines.cnn import NETWORKS, fit_cnn

        title = NETWORKS[model].title
        fit = partial(
            fit_cnn, model, contract=contract, seed=seed, num_steps=num_steps, soft_labeller=soft_labeller
        )
    return Baseline(f"{title} for {vocabulary().title}", contract, fit)


def class_ids() -> dict[str, int]:
    """Class of each label; the reject class comes last, where there is one."""
    return {**vocabulary().label2id, REJECT_LABEL: len(vocabulary().labels)}
