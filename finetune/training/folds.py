"""Leave one speaker out: every fold once, resumable fold by fold, and one table over all of them.

Each fold is a checkpoint of its own in a sub-folder named after the speaker whom it has not heard.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.checkpoint.writer import FIGURES_NAME, claim_folder
from finetune.corpus.clip import Corpus
from finetune.corpus.splits import fingerprint, make_split
from finetune.intervals import CONFIDENCE, Interval, speaker_interval
from inference.backends.table import CARD_NAME
from inference.errors import CheckpointError
from inference.files import read_json, write_json, write_text


@dataclass(frozen=True)
class FoldTable:
    """The test accuracy of every fold.

    Attributes:
        command: What was typed.
        description: One sentence on the corpus.
        num_clips: Test clips of each held-out speaker.
        accuracy: Test accuracy on each held-out speaker.
    """

    command: str
    description: str
    num_clips: Mapping[str, int]
    accuracy: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Mean over speakers, each counting the same."""
        return float(np.mean(list(self.accuracy.values())))

    @property
    def interval(self) -> Interval:
        """Student t interval of the mean; see ``speaker_interval``."""
        return speaker_interval(list(self.accuracy.values()))

    @property
    def worst(self) -> str:
        """The speaker of the lowest accuracy."""
        return min(self.accuracy, key=self.accuracy.__getitem__)

    def markdown(self) -> str:
        """One row per speaker, then the mean with its interval and the worst speaker."""
        low, high, _ = self.interval
        rows = [f"| {name} | {self.num_clips[name]} | {value:.3f} |" for name, value in self.accuracy.items()]
        return "\n".join(
            [
                "| held-out speaker | clips | accuracy |",
                "|---|---|---|",
                *rows,
                f"| mean of {len(rows)} speakers [{CONFIDENCE:.0%} t interval] | "
                f"{sum(self.num_clips.values())} | {self.mean:.3f} [{low:.3f}, {high:.3f}] |",
                f"| worst: {self.worst} | {self.num_clips[self.worst]} | {self.accuracy[self.worst]:.3f} |",
            ]
        )

    def write(self, folder: Path) -> None:
        """Writes ``loso.json`` and ``loso.md``."""
        low, high, _ = self.interval
        content = asdict(self) | {"mean": self.mean, "t_interval": [low, high], "worst": self.worst}
        write_json(folder / "loso.json", content)
        text = f"{self.description}. Leave one speaker out.\n\n{self.markdown()}\n\n"
        write_text(folder / "loso.md", f"{text}```\n{self.command}\n```\n")


def run_folds(
    corpus: Corpus,
    folder: Path,
    settings: Mapping[str, Any],
    command: str,
    fit_fold: Callable[[str, Path], object],
) -> FoldTable:
    """Fits every fold that has no finished checkpoint yet and writes the table.

    Args:
        corpus: Its speakers are the folds.
        folder: Holds one checkpoint folder per speaker, and the table.
        settings: Whatever changes the outcome; folds of other settings do not mix.
        command: What was typed, for the table.
        fit_fold: Fits the fold of a held-out speaker and writes its checkpoint, through
            ``finetune.checkpoint.writer.write_checkpoint``, into the folder given.

    Raises:
        CorpusError: If the corpus has too few speakers.
        UserError: If the folder holds folds of other settings.
    """
    for speaker in corpus.speakers:
        make_split(corpus.clips, "loso", fold=speaker)  # refuses a corpus before any fold is fitted
    folder.mkdir(parents=True, exist_ok=True)
    claim_folder(folder, {**settings, "clips": fingerprint(corpus.clips)}, work=f"*/{CARD_NAME}")
    for speaker in corpus.speakers:
        if not (folder / speaker / CARD_NAME).is_file():
            fit_fold(speaker, folder / speaker)
    table = read_folds(corpus.speakers, folder, command, corpus.description)
    table.write(folder)
    return table


def read_folds(speakers: Sequence[str], folder: Path, command: str, description: str) -> FoldTable:
    """Collects the figures of finished folds.

    Raises:
        CheckpointError: If a fold is missing or its figures are damaged.
    """
    figures = {speaker: read_json(folder / speaker / FIGURES_NAME) for speaker in speakers}
    try:
        return FoldTable(
            command,
            description,
            {speaker: int(values["test_clips"]) for speaker, values in figures.items()},
            {speaker: float(values["test_accuracy"]) for speaker, values in figures.items()},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: a fold lacks its test figures ({error}); remove it.") from error
