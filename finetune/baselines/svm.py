"""MFCC statistics, standardised, and an RBF support vector machine; stored as ONNX."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from finetune.augmentation import AugmentationSettings, augment, clip_generator
from finetune.corpus.clip import Clip
from inference.crop import CropContract, prepare
from inference.features import FeatureSettings, mfcc_statistics
from inference.labels import label2id

#: Varied copies of each clip beside the clip itself; a second one validated no better.
NUM_COPIES = 1
AUGMENTATION = AugmentationSettings(
    speed=(0.9, 1.1), noise_probability=0.3, snr_db=(15.0, 40.0), low_pass_probability=0.4
)
REGULARISATION = 10.0


def fit_svm(
    clips: Sequence[Clip], settings: FeatureSettings, contract: CropContract, seed: int
) -> CalibratedClassifierCV:
    """Fits the machine and, on held-out takes, the sigmoids that turn its scores into probabilities.

    Args:
        clips: Training clips.
        settings: Feature settings.
        contract: The crop the model is made for.
        seed: Seed of the augmentation.

    Returns:
        A fitted scikit-learn classifier over ``(num_clips, num_statistics)`` matrices.
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
    # Copies of one clip stay in one fold, so that the sigmoids see scores of unseen clips.
    folds = list(GroupKFold(n_splits=5, shuffle=True, random_state=seed).split(rows, label_ids, groups))
    classifier = CalibratedClassifierCV(_machine(), ensemble=False, cv=folds)
    return classifier.fit(np.stack(rows), label_ids)


def svm_accuracy(
    classifier: CalibratedClassifierCV,
    clips: Sequence[Clip],
    settings: FeatureSettings,
    contract: CropContract,
) -> float:
    """Share of clips whose most probable label is theirs."""
    rows = [mfcc_statistics(prepare(clip.waveform(), contract), settings) for clip in clips]
    references = np.array([label2id[clip.label] for clip in clips])
    return float((classifier.predict_proba(np.stack(rows)).argmax(axis=1) == references).mean())


def save_svm(classifier: CalibratedClassifierCV, settings: FeatureSettings, folder: Path) -> None:
    """Writes ``model.onnx`` (float32 statistics in, probabilities out) and ``features.json``."""
    from skl2onnx import to_onnx

    num_features = classifier.n_features_in_
    with warnings.catch_warnings():
        # The converter reads attributes of SVC that scikit-learn is about to retire.
        warnings.simplefilter("ignore", FutureWarning)
        model = to_onnx(classifier, np.zeros((1, num_features), np.float32), options={"zipmap": False})
    count = model.metadata_props.add()
    count.key, count.value = "num_parameters", str(num_parameters(classifier))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "features.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


def num_parameters(classifier: CalibratedClassifierCV) -> int:
    """Stored values: scaler, support vectors, dual coefficients, intercepts, two per sigmoid."""
    calibrated = classifier.calibrated_classifiers_[0]
    scaler, machine = calibrated.estimator
    arrays = (scaler.mean_, scaler.scale_, machine.support_vectors_, machine.dual_coef_, machine.intercept_)
    return sum(array.size for array in arrays) + 2 * len(calibrated.calibrators)


def _machine() -> Pipeline:
    return make_pipeline(StandardScaler(), SVC(C=REGULARISATION))
