"""Corpora that come as a table of audio and label from the Hugging Face Hub.

The ``datasets`` library reads them; its Audio column stays undecoded, so that
``inference.audio.decode_audio`` remains the only decoder.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.corpus.clip import Clip, Corpus, corpus_name, labelled_clip, with_test_set
from inference.audio import AudioSource
from inference.errors import CorpusError, HubUnreachableError
from inference.vocabulary import vocabulary
from inference.weights.hub import hub_cache_problem, hub_is_reachable

if TYPE_CHECKING:
    from datasets import Dataset

HUB_DATASET = "mteb/free-spoken-digit-dataset"


def load_hub(repo_id: str = HUB_DATASET) -> Corpus:
    """Loads a Hub dataset with the columns ``audio`` and ``label``, from the cache where it is there.

    Args:
        repo_id: ``owner/name`` on the Hub.

    Raises:
        HubUnreachableError: If the Hub cannot be reached and nothing is cached.
        CorpusError: If there is no such dataset, or columns are missing.
    """
    with _errors_explained(repo_id):
        return _corpus_from_tables(_tables(repo_id), repo_id, f"the Hub dataset {repo_id}")


def class_names(repo_id: str) -> list[str]:
    """The names of the classes of a Hub dataset, none where its labels are text; raises as ``load_hub``."""
    with _errors_explained(repo_id):
        features = next(iter(_tables(repo_id).values())).features or {}
    return list(getattr(features.get("label"), "names", ()))


def _tables(repo_id: str) -> "Mapping[str, Dataset]":
    from datasets import load_dataset
    from huggingface_hub import snapshot_download

    # Asked while online, the Hub completes a download that was cut off earlier.
    source = snapshot_download(repo_id, repo_type="dataset", local_files_only=not hub_is_reachable())
    tables: Mapping[str, Dataset] = load_dataset(source)
    return tables


@contextlib.contextmanager
def _errors_explained(repo_id: str) -> Iterator[None]:
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    try:
        yield
    except LocalEntryNotFoundError:
        raise HubUnreachableError(
            f"{repo_id} is not in the cache and the Hugging Face Hub cannot be reached. Connect once, or "
            "point --dataset at a folder of recordings, or use --dataset synthetic."
        ) from None
    except HTTPError as error:
        raise CorpusError(f"{repo_id} could not be fetched from the Hub: {error}") from error
    except OSError as error:
        raise CorpusError(hub_cache_problem(error) or f"{repo_id} cannot be read: {error}") from error


def _corpus_from_tables(tables: "Mapping[str, Dataset]", name: str, origin: str) -> Corpus:
    """Turns the splits of a ``DatasetDict`` into one corpus whose clips remember their split."""
    clips: list[Clip] = []
    for split_name, table in tables.items():
        clips += _clips_of_table(table, split_name, origin)
    if "test" not in tables:
        clips = with_test_set(clips)
    clips.sort(key=lambda clip: clip.clip_id)
    corpus = Corpus(corpus_name(clips, name), name, tuple(clips))
    description = f"{len(clips)} clips of {len(corpus.speakers)} speakers from {origin}"
    return replace(corpus, description=description)


def _clips_of_table(table: "Dataset", split_name: str, origin: str) -> list[Clip]:
    from datasets import Audio, ClassLabel

    missing = {"audio", "label"} - set(table.features or {})
    if missing:
        raise CorpusError(
            f"{origin} lacks the column {' and '.join(sorted(missing))}; found "
            f"{', '.join(table.features or {}) or 'no columns'}. Expected audio and label."
        )
    feature = table.features["label"]
    names = feature.names if isinstance(feature, ClassLabel) else None
    table = table.cast_column("audio", Audio(decode=False))
    label_of_name = vocabulary().label_of_name
    clips: list[Clip] = []
    takes: Counter[tuple[str, str]] = Counter()
    for row, record in enumerate(table):
        value = names[record["label"]] if names else str(record["label"])
        label = label_of_name.get(value.lower(), value)
        read = _row_reader(table, row)
        path = Path(record["audio"]["path"] or f"{row:06d}")
        speaker = record.get("speaker")
        speaker = None if speaker is None else str(speaker)
        clips.append(labelled_clip(path, label, speaker, split_name, path.stem, takes, read))
    return clips


def _row_reader(table: "Dataset", row: int) -> Callable[[], AudioSource]:
    def read() -> AudioSource:
        audio = table[row]["audio"]
        return audio["bytes"] if audio["bytes"] is not None else audio["path"]

    return read
