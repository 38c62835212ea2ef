"""Where clips come from: a folder, the Hub, an audiofolder, or synthetic voices."""

import os
from pathlib import Path

from finetune.corpus.clip import Clip, Corpus
from finetune.corpus.folder import load_folder
from inference.errors import CorpusError, HubUnreachableError

__all__ = ["DATASET_HELP", "DATA_VARIABLE", "Clip", "Corpus", "environment_prefix", "load_corpus"]

DATA_VARIABLE = "SPOKEN_DIGITS_DATA"
DATASET_HELP = (
    "auto (the folder in SPOKEN_DIGITS_DATA, else the Hub dataset, else synthetic voices), a folder of "
    "{label}_{speaker}_{index} files, a folder with one sub-folder per label or a metadata.csv, hub, a Hub "
    "id owner/name, or synthetic"
)


def load_corpus(dataset: str = "auto", streaming: bool = False) -> Corpus:
    """Finds a corpus; audio is read later, clip by clip.

    Args:
        dataset: What to load, see ``DATASET_HELP``.
        streaming: For the Hub: read over the network without keeping a copy on disk.

    Raises:
        CorpusError: If it does not exist, cannot be reached or holds labels outside the vocabulary.
    """
    # Imported here: the datasets library takes a second that a folder does not need.
    if dataset == "auto":
        return _load_auto(streaming)
    if dataset == "synthetic":
        from finetune.corpus.synthetic import load_synthetic

        return load_synthetic()
    if Path(dataset).is_dir():
        return load_folder(Path(dataset))
    from inference.weights import is_hub_id

    if dataset == "hub" or is_hub_id(dataset):
        from finetune.corpus.tables import HUB_DATASET, load_hub

        return load_hub(HUB_DATASET if dataset == "hub" else dataset, streaming)
    raise CorpusError(f"--dataset {dataset} is no folder and no known source. Allowed: {DATASET_HELP}.")


def environment_prefix(dataset: str) -> str:
    """What must stand before a command to find the same corpus; the folder's place is the reader's own."""
    uses_folder = dataset == "auto" and DATA_VARIABLE in os.environ
    return f"{DATA_VARIABLE}=<folder of recordings> " if uses_folder else ""


def _load_auto(streaming: bool) -> Corpus:
    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        if not Path(folder).is_dir():
            raise CorpusError(f"{DATA_VARIABLE} is {folder}, which is no folder; correct or unset it.")
        return load_folder(Path(folder))
    from finetune.corpus.tables import load_hub

    try:
        return load_hub(streaming=streaming)
    except HubUnreachableError:
        from finetune.corpus.synthetic import load_synthetic

        return load_synthetic()
