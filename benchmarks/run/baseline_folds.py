"""Small baselines without a held-out speaker, fitted when a run needs them and kept for the next one."""

import subprocess
import sys
from pathlib import Path

from benchmarks.run.content_hashes import code_hash, combined_hash
from benchmarks.run.entries import Row
from benchmarks.run.protocol import Evaluation, Fold
from finetune.checkpoint.split_card import CARD_NAME
from finetune.corpus.loading import Corpus
from finetune.corpus.splits import fingerprint
from inference.errors import UserError
from inference.files import cache_folder

#: Backend -> the baseline that is fitted for each fold in seconds.
FITTED = {"mfcc": "mfcc-svm"}


class BaselineFitter:
    """Fits baselines for held-out speakers and keeps them for the next run.

    Args:
        dataset: What the corpus was loaded from.
        seed: Seed of the split.
    """

    def __init__(self, dataset: str, seed: int):
        self._dataset = dataset
        self._seed = seed

    def folder(self, row: Row, evaluation: Evaluation, fold: Fold) -> Path:
        """Where the checkpoint of a fold lies, or will."""
        assert fold.speaker is not None
        return cache_folder() / "folds" / self._key(evaluation.corpus) / row.spec.name / fold.speaker

    def __call__(self, row: Row, evaluation: Evaluation, fold: Fold) -> Path:
        """The checkpoint of a fold, fitted unless it is in the cache.

        Raises:
            UserError: If it cannot be fitted.
        """
        folder = self.folder(row, evaluation, fold)
        if (folder / CARD_NAME).is_file():
            return folder
        sys.stderr.write(f"{row.name}: fitting without {fold.speaker}\n")
        command = [sys.executable, "-m", "finetune.fit_baseline", "--model", FITTED[row.spec.name]]
        options = {
            "--dataset": self._dataset,
            "--protocol": "loso",
            "--fold": str(fold.speaker),
            "--seed": str(self._seed),
            "--out": str(folder),
        }
        words = [word for pair in options.items() for word in pair]
        # Nothing is chosen or reported here: one fit, of all clips but the held-out speaker's.
        words.append("--skip_validation")
        done = subprocess.run([*command, *words], capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise UserError(f"{row.name} could not be fitted without {fold.speaker}: {last[0]}")
        return folder

    def _key(self, corpus: Corpus) -> str:
        """Changes with the clips, the seed and the code that fits."""
        return combined_hash(fingerprint(corpus.clips), str(self._seed), code_hash("finetune", "inference"))
