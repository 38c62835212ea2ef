"""Labels that say what else a word sounds like: half what was said, half what a better recogniser hears."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finetune.checkpoint.split_card import SplitCard, read_split_card
from finetune.corpus.clip import Clip, Corpus
from inference.audio import waveform_hash
from inference.backends.base import Backend
from inference.backends.table import BACKENDS, calibration_folder, checkpoint_parts, load_backend
from inference.errors import UserError
from inference.prediction import Prediction
from inference.vocabulary import REJECT_LABEL

#: Part of the teacher's answer in a label.
TEACHER_SHARE = 0.5


class SoftLabeller:
    """Gives labels of knowledge distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531).

    The teacher hears what the student hears, variations included (Beyer et al. 2022,
    https://arxiv.org/abs/2106.05237).

    Args:
        backend: The teacher.
        classes: The names of the student's outputs, in order.
        cards: What the teacher has heard, and the student through it.
    """

    def __init__(self, backend: Backend, classes: Sequence[str], cards: Sequence[SplitCard] = ()):
        self.cards = tuple(cards)
        self._backend = backend
        self._classes = classes

    def label(self, waveforms: Sequence[np.ndarray], label_ids: Sequence[int]) -> np.ndarray:
        """Probabilities of the classes, float32 ``(num_waveforms, num_classes)``.

        Args:
            waveforms: What is heard, each ``(num_samples,)`` at 16 kHz.
            label_ids: What was said, as places in the classes.
        """
        said = np.eye(len(self._classes), dtype=np.float32)[list(label_ids)]
        heard = [self._heard(*pair) for pair in zip(self._backend.predict(waveforms), said, strict=True)]
        return (1 - TEACHER_SHARE) * said + TEACHER_SHARE * np.stack(heard)

    def _heard(self, answer: Prediction, said: np.ndarray) -> np.ndarray:
        """The teacher's answer in the student's classes; what was said where it cannot tell."""
        if answer.probabilities is None:
            return said
        has_none = self._classes[-1] == REJECT_LABEL
        if has_none and answer.none_probability is None and said[-1]:
            return said  # its probabilities are those of words, and this is none
        values = np.array([*answer.probabilities, *([answer.none_probability or 0.0] * has_none)], np.float32)
        total = values.sum()
        return values / total if total else said  # it is so sure of "none" that no word is left


def load_soft_labeller(
    teacher: str, classes: Sequence[str], corpus: Corpus, test: Sequence[Clip], held_out_speakers: bool
) -> SoftLabeller:
    """Loads the teacher that ``--soft-labels-from`` names.

    Args:
        teacher: ``BACKEND`` or ``BACKEND=CHECKPOINT``.
        classes: See ``SoftLabeller``.
        corpus: What is learned from.
        test: The clips that the student will be tested on.
        held_out_speakers: Whether these stand for speakers whom nothing may have heard.

    Raises:
        UserError: If it has learned from the test; subclasses if it cannot be loaded.
    """
    name, _, given = teacher.partition("=")
    checkpoint = given or BACKENDS[name].default_checkpoint
    folders = [Path(part) for part in checkpoint_parts(BACKENDS[name], checkpoint)]
    if BACKENDS[name].composite and (calibrated := calibration_folder(name, checkpoint)):
        folders.append(calibrated)  # whom it was calibrated on
    cards = [card for folder in folders if (card := read_split_card(folder))]
    hashes = {clip.clip_id: waveform_hash(clip.waveform()) for clip in test} if cards else {}
    for card in cards:
        if leaked := card.leaked(corpus, test, hashes, held_out_speakers):
            raise UserError(
                f"--soft-labels-from {teacher}: it has heard {len(leaked)} of {len(test)} test clips"
                f"{' or their speakers' * held_out_speakers} ({leaked[0]}), which the student would then "
                "know of. Choose a teacher of the same split."
            )
    return SoftLabeller(load_backend(name, checkpoint), classes, cards)
