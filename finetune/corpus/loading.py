"""Where clips come from: a folder, the Hub, an audiofolder, or synthetic voices."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from finetune.corpus.clip import Corpus
from finetune.corpus.folder import label_names, load_folder
from inference.errors import CorpusError, HubUnreachableError, UserError
from inference.files import cache_folder
from inference.vocabulary import DIGITS, REJECT_LABEL, VARIABLE, VOCABULARY_FILE, Vocabulary, use_vocabulary

DATA_VARIABLE = "SPOKEN_DIGITS_DATA"
DATASET_HELP = (
    "auto (the folder in SPOKEN_DIGITS_DATA, else the Hub dataset, else synthetic voices), a folder of "
    "{label}_{speaker}_{index} files, a folder with one sub-folder per label or a metadata.csv, hub, a Hub "
    "id owner/name, synthetic, or flite (voices that no shipped model has learned from)"
)


def load_corpus(dataset: str = "auto", otherwise: str = "synthetic") -> Corpus:
    """Finds a corpus; audio is read later, clip by clip.

    Args:
        dataset: What to load, see ``DATASET_HELP``.
        otherwise: What auto takes where there are no recordings.

    Raises:
        CorpusError: If it does not exist, cannot be reached or holds labels outside the vocabulary.
    """
    # Imported here: the datasets library takes a second that a folder does not need.
    if dataset == "auto":
        return _load_auto(otherwise)
    if dataset == "synthetic":
        from finetune.corpus.synthetic import load_synthetic

        return load_synthetic()
    if dataset == "flite":
        from finetune.corpus.synthetic import load_flite

        return load_flite()
    if Path(dataset).is_dir():
        return load_folder(Path(dataset))
    from inference.weights.hub import is_hub_id

    if dataset == "hub" or is_hub_id(dataset):
        from finetune.corpus.tables import HUB_DATASET, load_hub

        return load_hub(HUB_DATASET if dataset == "hub" else dataset)
    raise CorpusError(f"--dataset {dataset} is no folder and no known source. Allowed: {DATASET_HELP}.")


def use_labels_of(dataset: str) -> None:
    """Makes the labels of a corpus the vocabulary, unless one was named or most of them are digits.

    Args:
        dataset: A folder or a Hub id; whatever else ``load_corpus`` takes holds digits.

    Raises:
        UserError: If the labels make no vocabulary.
    """
    if os.environ.get(VARIABLE):
        return
    names: Iterable[str] = ()
    if Path(dataset).is_dir():
        names = label_names(Path(dataset))
    else:
        from inference.weights.hub import is_hub_id

        if is_hub_id(dataset):
            from finetune.corpus.tables import class_names

            names = class_names(dataset)
    # A folder such as _background_noise_ holds no word; load_corpus counts what it leaves out.
    labels = sorted({name.lower() for name in names if not name.startswith("_")} - {REJECT_LABEL})
    if 2 * sum(label in DIGITS.label_of_name for label in labels) >= len(labels):
        return
    try:
        found = Vocabulary({label: ("".join(filter(str.isalpha, label)),) for label in labels})
    except UserError as error:
        raise UserError(
            f"the labels of {dataset} make no vocabulary: {error} Rename them, or describe them in a file: "
            "--vocabulary FILE"
        ) from error
    folder = cache_folder() / "vocabularies" / found.fingerprint
    folder.mkdir(parents=True, exist_ok=True)
    found.save(folder)
    use_vocabulary(folder / VOCABULARY_FILE)
    sys.stderr.write(f"vocabulary from the labels of {dataset}: {', '.join(labels)}\n")


def environment_prefix(dataset: str) -> str:
    """What must stand before a command to find the same corpus; the folder's place is the reader's own."""
    uses_folder = dataset == "auto" and DATA_VARIABLE in os.environ
    return f"{DATA_VARIABLE}=<folder of recordings> " if uses_folder else ""


def _load_auto(otherwise: str) -> Corpus:
    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        if not Path(folder).is_dir():
            raise CorpusError(f"{DATA_VARIABLE} is {folder}, which is no folder; correct or unset it.")
        return load_folder(Path(folder))
    from finetune.corpus.tables import load_hub

    try:
        return load_hub()
    except HubUnreachableError:
        return load_corpus(otherwise)
