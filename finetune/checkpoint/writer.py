"""Writes a checkpoint folder: weights, labels, crop contract, split card, model card, history."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.checkpoint.model_card import model_card
from finetune.checkpoint.split_card import SplitCard
from finetune.corpus.clip import Clip, Corpus, CorpusSource
from finetune.corpus.splits import Split
from inference.backends.table import CARD_NAME
from inference.checkpoint import read_operating_point
from inference.crop import CropContract
from inference.errors import UserError
from inference.files import read_json, write_json, write_text
from inference.vocabulary import vocabulary

SETTINGS_NAME = "run_settings.json"
FIGURES_NAME = "figures.json"


@dataclass(frozen=True)
class Provenance:
    """How a checkpoint came to be.

    Attributes:
        title: What the model is, one line.
        command: What was typed.
        corpus: Where the clips come from.
        split: Which of them were learned from.
        figures: Named figures for the card, such as ``validation_accuracy``.
        notes: What the figures rest on, one paragraph.
        history: Log records of the epochs; empty where there are none.
        classes: The names of the model's outputs, in order.
        sources: All corpora that had a part in it.
        recorded_non_words: Recordings of the reject class that were learned from or chosen by.
        heard_through: The cards of the weights that training went on from, and of teachers.
    """

    title: str
    command: str
    corpus: Corpus
    split: Split
    figures: dict[str, float]
    notes: str
    history: list[dict[str, Any]]
    classes: tuple[str, ...]
    sources: tuple[CorpusSource, ...] = ()
    recorded_non_words: tuple[Clip, ...] = ()
    heard_through: tuple[SplitCard, ...] = ()


def prepare_folder(folder: Path) -> None:
    """Checks, before any work is done, that a checkpoint can be written into a folder.

    Raises:
        UserError: If it holds a finished checkpoint or cannot be written.
    """
    if (folder / CARD_NAME).is_file():
        raise UserError(f"{folder} holds a finished checkpoint; remove it or choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}. Choose another folder.") from error


def claim_folder(folder: Path, settings: dict[str, Any], work: str = "checkpoint-*") -> None:
    """Writes down what is being trained, and refuses to go on with the run of other settings.

    Args:
        folder: Where the run keeps its work.
        settings: Whatever changes the outcome.
        work: Pattern of files that hold work done.

    Raises:
        UserError: If the folder holds an unfinished run of something else.
    """
    path = folder / SETTINGS_NAME
    if path.is_file() and any(folder.glob(work)):
        earlier = read_json(path)
        changed = [
            f"{key} ({earlier.get(key)}, now {settings.get(key)})"
            for key in sorted(settings | earlier)
            if settings.get(key) != earlier.get(key)
        ]
        if changed:
            raise UserError(
                f"{folder} holds an unfinished run with another {', '.join(changed)}; remove it, choose "
                "another folder, or use the same options to go on."
            )
    write_json(path, settings)


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Gives a sub-folder to write into, whose files move into the folder once all of them are there."""
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        # The split card comes last: its presence says that the checkpoint is complete.
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == CARD_NAME):
            path.chmod(0o644)  # safetensors writes files that only their owner may read
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_checkpoint(
    folder: Path, save_model: Callable[[Path], object], contract: CropContract, made: Provenance
) -> None:
    """Writes all files, or none.

    Args:
        folder: The checkpoint's folder; files of the same names are replaced.
        save_model: Writes the weights and their settings into the folder it is given.
        contract: The crop the model was trained for.
        made: For the cards.
    """
    with written_whole(folder) as unfinished:
        save_model(unfinished)
        card = SplitCard.from_split(made.corpus, made.split, made.sources, made.recorded_non_words)
        for earlier in made.heard_through:
            card = card.with_heard_by(earlier)
        card.write(unfinished)
        write_json(unfinished / "labels.json", list(made.classes))
        vocabulary().save(unfinished)
        write_json(unfinished / "crop.json", asdict(contract))
        write_json(unfinished / FIGURES_NAME, made.figures)
        if made.history:
            write_json(unfinished / "history.json", made.history)
        text = model_card(
            made.title,
            made.command,
            made.corpus.description,
            made.split.caption,
            card,
            made.figures,
            made.notes,
            read_operating_point(unfinished),
        )
        write_text(unfinished / "README.md", text)
