"""MFCC statistics and an RBF machine or a logistic regression of their principal components, or a forest."""

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from finetune.augmentation import AugmentationSettings, augment, clip_generator
from finetune.baselines.forest import fit_forest, new_forest
from finetune.baselines.table import StatisticsGrid, class_ids
from finetune.corpus.clip import Clip
from finetune.corpus.splits import grouped_folds, speaker_groups
from inference.backends.mfcc import (
    ArrayClassifier,
    KernelClassifier,
    LinearClassifier,
    logits_of_margins,
)
from inference.crop import CropContract, prepare
from inference.errors import CorpusError
from inference.features import FeatureSettings, band_statistics, cut_floor, mfcc_statistics, word_log_mel
from inference.files import write_json
from inference.vocabulary import vocabulary

_SPOKEN_FASTER_OR_SLOWER = AugmentationSettings(
    speed=(0.85, 1.18),
    formants=(1.0, 1.0),
    equaliser_db=0.0,
    reverberation_probability=0.0,
    noise_probability=1.0,
    snr_db=(15.0, 40.0),
    babble_share=0.0,
    low_pass_probability=0.15,
)
_IN_NOISE = replace(_SPOKEN_FASTER_OR_SLOWER, speed=(1.0, 1.0), pad_ms=(0.0, 200.0), snr_db=(8.0, 25.0))
#: What is learned from beside each clip as it is. Validated on clips in quiet and at 20 dB of noise, of known
#: and of held-out training speakers: either copy alone loses a point or two in one of the four.
VARIATIONS = (_SPOKEN_FASTER_OR_SLOWER, _IN_NOISE)
#: Rows to learn from: the machine takes their square in time, and keeps half of them. Where each clip and its
#: copies would be more, each is learned from once, by chance as it is or in noise; that recognises new voices
#: better than fewer clips with all copies.
MAX_ROWS = 9000
#: Share of the variance that the principal components keep. On held-out training speakers as good as all of
#: it, with six tenths of the numbers to store and to multiply.
KEPT_VARIANCE = 0.99
#: What margins are multiplied with, at least and at most.
STEEPNESS = (0.1, 100.0)
#: Holds the kernel of some thousand rows whole.
CACHE_MB = 1000.0
#: Words by which the grid is chosen, at most.
MAX_GRID_WORDS = 3000
#: The grid, unless another is asked for. Every combination is cross-validated over the training speakers.
NUM_SEGMENTS = (4, 5)
REGULARISATION: dict[str, tuple[float | None, ...]] = {
    "mfcc-svm": (4.0, 10.0),
    "mfcc-logreg": (0.01, 0.1),
    "mfcc-forest": (None,),
}
GAMMAS: dict[str, tuple[float | None, ...]] = {
    "mfcc-svm": (1.0, 1.5),
    "mfcc-logreg": (None,),
    "mfcc-forest": (None,),
}


@dataclass(frozen=True)
class GridPoint:
    """One point of the grid.

    Attributes:
        settings: Features; the pooling varies.
        regularisation: C of the machine or the regression, None for a forest.
        gamma: Width of the machine's kernel, in units of one over the number of statistics, else None.
    """

    settings: FeatureSettings
    regularisation: float | None
    gamma: float | None


@dataclass(frozen=True)
class FittedStatistics:
    """A classifier of MFCC statistics ready to be asked or written.

    Attributes:
        classifier: The arrays.
        point: The point of the grid.
        contract: The crop it is made for.
        cross_validation: Accuracy of that point over held-out training speakers.
        history: Empty: there are no epochs.
    """

    classifier: ArrayClassifier
    point: GridPoint
    contract: CropContract
    cross_validation: float
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def num_parameters(self) -> int:
        """Number of stored values."""
        return self.classifier.num_parameters

    @property
    def choices(self) -> dict[str, float]:
        """The chosen point of the grid and its cross-validated accuracy, for the card."""
        chosen = {
            "chosen_segments": self.point.settings.num_segments,
            "chosen_C": self.point.regularisation,
            "chosen_gamma (over number of statistics)": self.point.gamma,
            "cross_validated_accuracy": self.cross_validation,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def probabilities(self, clips: Sequence[Clip]) -> np.ndarray:
        """Probabilities ``(num_clips, num_classes)``."""
        settings = self.point.settings
        rows = [mfcc_statistics(prepare(clip.waveform(), self.contract), settings) for clip in clips]
        return self.classifier.probabilities(np.stack(rows))

    def save(self, folder: Path) -> None:
        """Writes ``model.safetensors`` and ``features.json``."""
        save_file(self.classifier.arrays(), folder / "model.safetensors")
        write_json(folder / "features.json", asdict(self.point.settings))


def fit_statistics(
    model: str,
    clips: Sequence[Clip],
    validation: Sequence[Clip],
    contract: CropContract,
    seed: int,
    grid: StatisticsGrid,
) -> FittedStatistics:
    """Chooses from the grid by cross-validation over speakers, then fits clips and varied copies of them.

    Args:
        model: One of ``STATISTICS_TITLES``.
        clips: What to learn from. Clips of the reject class make the model have one.
        validation: Not looked at: the grid is chosen over the training speakers.
        contract: The crop the model is made for.
        seed: Seed of the augmentation and of the folds.
        grid: What to choose from.

    Raises:
        CorpusError: If a label has fewer than two clips.
    """
    ids = class_ids()
    label_ids = np.array([ids[clip.label] for clip in clips])
    _check_labels(label_ids)
    speakers = np.array([clip.speaker for clip in clips])
    rows, copies = _learned_rows(label_ids, seed)
    bar = tqdm(zip(rows, copies, strict=True), desc="features", unit="clip", total=len(rows), disable=None)
    bands = [_bands(clips[row], copy, seed, contract) for row, copy in bar]
    # The grid is chosen by the words, each of them once.
    words = np.flatnonzero(label_ids[rows[: len(clips)]] < len(vocabulary().labels))[:MAX_GRID_WORDS]
    point, accuracy = choose_point(
        model, [bands[row] for row in words], label_ids[rows[words]], speakers[rows[words]], grid
    )
    statistics = _statistics(bands, point.settings)
    groups = speaker_groups(speakers, label_ids)[rows]
    classifier: ArrayClassifier
    if model == "mfcc-forest":
        classifier = fit_forest(statistics, label_ids[rows])
    elif model == "mfcc-svm":
        classifier = fit_kernel(statistics, label_ids[rows], groups, point)
    else:
        classifier = fit_linear(statistics, label_ids[rows], point)
    return FittedStatistics(classifier, point, contract, accuracy)


def choose_point(
    model: str,
    bands: Sequence[np.ndarray],
    label_ids: np.ndarray,
    speakers: np.ndarray,
    grid: StatisticsGrid | None = None,
) -> tuple[GridPoint, float]:
    """The point of the grid that recognises held-out training speakers best, and how well.

    A corpus of one speaker is divided by clips instead.
    """
    grid = grid or StatisticsGrid()
    regularisation, gammas = grid.regularisation or REGULARISATION[model], grid.gammas or GAMMAS[model]
    groups = speaker_groups(speakers, label_ids)
    folds = grouped_folds(label_ids, groups, grid.folds)
    found: list[tuple[float, GridPoint]] = []
    for num_segments in tqdm(NUM_SEGMENTS, desc="grid", unit="pooling", disable=None):
        settings = FeatureSettings(n_mfcc=grid.n_mfcc, num_segments=num_segments)
        statistics = _statistics(bands, settings)
        for strength, gamma in product(regularisation, gammas):
            point = GridPoint(settings, strength, gamma)
            pipeline = statistics_pipeline(model, point, statistics.shape[1])
            scores = cross_val_score(pipeline, statistics, label_ids, groups=groups, cv=folds)
            found.append((float(scores.mean()), point))
    accuracy, point = max(found, key=lambda pair: pair[0])
    return point, accuracy


def fit_kernel(
    statistics: np.ndarray, label_ids: np.ndarray, groups: np.ndarray, point: GridPoint
) -> KernelClassifier:
    """Fits the machine, and the steepness at which its margins become probabilities.

    The steepness is that of the greatest likelihood (as in Platt 1999, "Probabilistic outputs for
    support vector machines"), over margins of speakers whom the machine has not heard: those of its own
    speakers would make it too sure of new ones, and of sounds that are no label at all.

    Args:
        statistics: ``(num_rows, num_statistics)``.
        label_ids: Classes of the rows.
        groups: Rows of one group stay together when the margins are made.
        point: The point of the grid.
    """
    machine = _estimator("mfcc-svm", point, statistics.shape[1])
    front = make_pipeline(*_front())
    rows = front.fit_transform(statistics)
    margins = cross_val_predict(
        machine,
        rows,
        label_ids,
        groups=groups,
        cv=grouped_folds(label_ids, groups),
        method="decision_function",
    )
    logits = logits_of_margins(_towards_first(margins.reshape(len(rows), -1)))
    return collapse(front, machine.fit(rows, label_ids), best_steepness(logits, label_ids))


def best_steepness(logits: np.ndarray, label_ids: np.ndarray) -> float:
    """The factor on logits ``(num_rows, num_labels)`` that makes the labels most likely."""

    def loss(log_steepness: float) -> float:
        log_probabilities = log_softmax(np.exp(log_steepness) * logits, axis=1)
        return -float(log_probabilities[np.arange(len(label_ids)), label_ids].mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(STEEPNESS), method="bounded").x))


def collapse(front: Pipeline, machine: SVC, steepness: float) -> KernelClassifier:
    """The same function as arrays, the steepness multiplied out."""
    return KernelClassifier(
        **_projection(front),
        support_vectors=machine.support_vectors_.astype(np.float32),
        weights=(steepness * _towards_first(_pair_weights(machine))).astype(np.float32),
        bias=(steepness * _towards_first(machine.intercept_)).astype(np.float32),
        gamma=np.array(machine.gamma, np.float32),
    )


def _towards_first(margins: np.ndarray) -> np.ndarray:
    """Positive for the first of two labels; scikit-learn has it the other way round if there are but two."""
    return -margins if margins.shape[-1] == 1 else margins


def fit_linear(statistics: np.ndarray, label_ids: np.ndarray, point: GridPoint) -> LinearClassifier:
    """Fits a multinomial logistic regression; the arguments are those of ``fit_kernel``."""
    front = make_pipeline(*_front())
    regression = _estimator("mfcc-logreg", point, statistics.shape[1])
    regression.fit(front.fit_transform(statistics), label_ids)
    return LinearClassifier(
        **_projection(front),
        weights=regression.coef_.T.astype(np.float32),
        bias=regression.intercept_.astype(np.float32),
    )


def statistics_pipeline(model: str, point: GridPoint, width: int) -> Pipeline:
    """An unfitted model of so many statistics."""
    if model == "mfcc-forest":
        return make_pipeline(new_forest())
    return make_pipeline(*_front(), _estimator(model, point, width))


def _front() -> tuple[StandardScaler, PCA]:
    return StandardScaler(), PCA(KEPT_VARIANCE, svd_solver="full")


def _projection(front: Pipeline) -> dict[str, np.ndarray]:
    """The two fitted steps of ``_front`` as one subtraction and one product."""
    scaler, components = (step for _, step in front.steps)
    return {
        "mean": (scaler.mean_ + scaler.scale_ * components.mean_).astype(np.float32),
        "projection": (components.components_.T / scaler.scale_[:, None]).astype(np.float32),
    }


def _estimator(model: str, point: GridPoint, width: int) -> LogisticRegression | SVC:
    if point.gamma is None:
        return LogisticRegression(C=point.regularisation, max_iter=2000)
    return SVC(
        C=point.regularisation,
        gamma=point.gamma / width,
        decision_function_shape="ovo",
        cache_size=CACHE_MB,
    )


@functools.cache
def _bands(clip: Clip, copy: int, seed: int, contract: CropContract) -> np.ndarray:
    """Log-mel of a clip (copy 0) or a varied copy, before any floor; every fold asks for it again."""
    waveform = clip.waveform()
    if copy > 0:
        waveform = augment(waveform, VARIATIONS[copy - 1], clip_generator(seed, copy - 1, clip.clip_id))
    return word_log_mel(prepare(waveform, contract), replace(FeatureSettings(), floor_db=np.inf))


def _learned_rows(label_ids: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which clips are learned from and in which copy, two vectors of at most ``MAX_ROWS``.

    Where there are too many clips, the largest classes lose some.
    """
    num_clips, num_copies = len(label_ids), 1 + len(VARIATIONS)
    if num_clips * num_copies <= MAX_ROWS:
        return np.tile(np.arange(num_clips), num_copies), np.repeat(np.arange(num_copies), num_clips)
    generator = np.random.default_rng(seed)
    order = generator.permutation(num_clips)
    takes = (
        pd.Series(order).groupby(label_ids[order]).cumcount().to_numpy()
    )  # everybody's first, then the second
    rows = order[np.argsort(takes, kind="stable")[:MAX_ROWS]]
    return rows, generator.choice((0, 1 + VARIATIONS.index(_IN_NOISE)), len(rows))


def _statistics(bands: Sequence[np.ndarray], settings: FeatureSettings) -> np.ndarray:
    return np.stack([band_statistics(cut_floor(matrix, settings), settings) for matrix in bands])


def _check_labels(label_ids: np.ndarray) -> None:
    labels = vocabulary().labels
    counts = np.bincount(label_ids, minlength=len(labels))[: len(labels)]
    scarce = [label for label, number in zip(labels, counts, strict=True) if number < 2]
    if scarce:
        raise CorpusError(
            f"too few training clips of {', '.join(scarce)}: this model needs at least 2 of every "
            "label. Record more, or fine-tune instead: python -m finetune.train --help"
        )


def _pair_weights(machine: SVC) -> np.ndarray:
    """Weight of each support vector in each pairwise margin, shape ``(num_vectors, num_pairs)``.

    scikit-learn keeps libsvm's compact form: row r of ``dual_coef_`` holds a vector's coefficient
    against the (r + 1)-th of the other classes.
    """
    num_classes = len(machine.classes_)
    classes = np.repeat(np.arange(num_classes), machine.n_support_)
    weights = np.zeros((len(classes), num_classes * (num_classes - 1) // 2))
    for pair, (first, second) in enumerate(combinations(range(num_classes), 2)):
        of_first, of_second = classes == first, classes == second
        weights[of_first, pair] = machine.dual_coef_[second - 1, of_first]
        weights[of_second, pair] = machine.dual_coef_[first, of_second]
    return weights
