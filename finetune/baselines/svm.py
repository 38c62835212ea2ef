"""MFCC statistics, standardised, and an RBF support vector machine with calibrated probabilities."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from finetune.augmentation import AugmentationSettings, augment, clip_generator
from finetune.corpus.clip import Clip
from inference.backends.mfcc import KernelClassifier
from inference.crop import CropContract, prepare
from inference.errors import CorpusError
from inference.features import FeatureSettings, mfcc_statistics
from inference.labels import LABELS, label2id

#: Varied copies of each clip beside the clip itself; a second one validated no better.
NUM_COPIES = 1
AUGMENTATION = AugmentationSettings(
    speed=(0.9, 1.1),
    formants=(1.0, 1.0),
    equaliser_db=0.0,
    reverberation_probability=0.0,
    noise_probability=0.3,
    snr_db=(15.0, 40.0),
    low_pass_probability=0.4,
)
REGULARISATION = 10.0
MAX_FOLDS = 5


@dataclass(frozen=True)
class FittedSvm:
    """A support vector machine and the logistic regression that turns its margins into probabilities.

    Attributes:
        scaler: Standardises statistics.
        machine: One-against-one RBF machine over standardised statistics.
        head: Multinomial logistic regression over the machine's pairwise margins.
    """

    scaler: StandardScaler
    machine: SVC
    head: LogisticRegression

    def predict_proba(self, statistics: np.ndarray) -> np.ndarray:
        """Probabilities ``(num_clips, num_labels)`` of statistics ``(num_clips, num_statistics)``."""
        margins = self.machine.decision_function(self.scaler.transform(statistics))
        return self.head.predict_proba(margins)

    def collapsed(self) -> KernelClassifier:
        """The same function with the margins and the regression, both linear, multiplied out."""
        weights = _pair_weights(self.machine) @ self.head.coef_.T
        bias = self.machine.intercept_ @ self.head.coef_.T + self.head.intercept_
        return KernelClassifier(
            mean=self.scaler.mean_.astype(np.float32),
            scale=self.scaler.scale_.astype(np.float32),
            support_vectors=self.machine.support_vectors_.astype(np.float32),
            weights=weights.astype(np.float32),
            bias=bias.astype(np.float32),
            gamma=np.array(self.machine.gamma, np.float32),
        )


def fit_svm(
    clips: Sequence[Clip], settings: FeatureSettings, contract: CropContract, seed: int
) -> KernelClassifier:
    """Fits the machine on clips and varied copies of them.

    The logistic regression learns from margins of clips that the machine has not seen, a fifth at
    a time (stacking; Wolpert 1992, "Stacked generalization"): margins of its own training clips
    would make it too sure.

    Args:
        clips: Training clips.
        settings: Feature settings.
        contract: The crop the model is made for.
        seed: Seed of the augmentation and of the folds.
    """
    rows: list[np.ndarray] = []
    groups: list[int] = []
    for group, clip in enumerate(tqdm(clips, desc="features", unit="clip", disable=None)):
        waveform = clip.waveform()
        copies = [
            augment(waveform, AUGMENTATION, clip_generator(seed, copy, clip.clip_id))
            for copy in range(NUM_COPIES)
        ]
        rows += [mfcc_statistics(prepare(version, contract), settings) for version in (waveform, *copies)]
        groups += [group] * (1 + NUM_COPIES)
    label_ids = np.array([label2id[clips[group].label] for group in groups])
    return fit_classifier(np.stack(rows), label_ids, np.array(groups), seed).collapsed()


def fit_classifier(statistics: np.ndarray, label_ids: np.ndarray, groups: np.ndarray, seed: int) -> FittedSvm:
    """Fits scaler, machine and head; rows of one group (a clip and its copies) stay in one fold.

    Raises:
        CorpusError: If a label has fewer than two clips.
    """
    machine = SVC(C=REGULARISATION, gamma=1.0 / statistics.shape[1], decision_function_shape="ovo")
    num_groups = {
        label: np.unique(groups[label_ids == label_id]).size for label, label_id in label2id.items()
    }
    scarce = [label for label, number in num_groups.items() if number < 2]
    if scarce:
        raise CorpusError(
            f"too few training clips of {', '.join(scarce)}: this model needs at least 2 of every "
            "label. Record more, or fine-tune instead: python -m finetune.train --help"
        )
    folds = StratifiedGroupKFold(min(MAX_FOLDS, *num_groups.values()), shuffle=True, random_state=seed)
    margins = cross_val_predict(
        make_pipeline(StandardScaler(), machine),
        statistics,
        label_ids,
        cv=folds.split(statistics, label_ids, groups),
        method="decision_function",
    )
    head = LogisticRegression(max_iter=2000).fit(margins, label_ids)
    scaler = StandardScaler().fit(statistics)
    return FittedSvm(scaler, machine.fit(scaler.transform(statistics), label_ids), head)


def svm_accuracy(
    classifier: KernelClassifier, clips: Sequence[Clip], settings: FeatureSettings, contract: CropContract
) -> float:
    """Share of clips whose most probable label is theirs."""
    rows = [mfcc_statistics(prepare(clip.waveform(), contract), settings) for clip in clips]
    references = np.array([label2id[clip.label] for clip in clips])
    return float((classifier.probabilities(np.stack(rows)).argmax(axis=1) == references).mean())


def save_svm(classifier: KernelClassifier, settings: FeatureSettings, folder: Path) -> None:
    """Writes ``model.safetensors`` and ``features.json``."""
    save_file(classifier.arrays(), folder / "model.safetensors")
    (folder / "features.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


def _pair_weights(machine: SVC) -> np.ndarray:
    """Weight of each support vector in each pairwise margin, shape ``(num_vectors, num_pairs)``.

    scikit-learn keeps libsvm's compact form: row r of ``dual_coef_`` holds a vector's coefficient
    against the (r + 1)-th of the other classes.
    """
    classes = np.repeat(np.arange(len(LABELS)), machine.n_support_)
    weights = np.zeros((len(classes), len(LABELS) * (len(LABELS) - 1) // 2))
    for pair, (first, second) in enumerate(combinations(range(len(LABELS)), 2)):
        of_first, of_second = classes == first, classes == second
        weights[of_first, pair] = machine.dual_coef_[second - 1, of_first]
        weights[of_second, pair] = machine.dual_coef_[first, of_second]
    return weights
