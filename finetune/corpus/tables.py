"""Corpora that come as a table of audio and label from the Hugging Face Hub.

The ``datasets`` library reads them; its Audio column stays undecoded, so that
``inference.audio.decode_audio`` remains the only decoder.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.corpus.clip import Clip, Corpus, corpus_name, labelled_clip, with_test_set
from inference.audio import AudioSource
from inference.errors import CorpusError, HubUnreachableError
from inference.vocabulary import vocabulary
from inference.weights.hub import hub_cache_problem, hub_is_reachable

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

HUB_DATASET = "mteb/free-spoken-digit-dataset"


def load_hub(repo_id: str = HUB_DATASET, streaming: bool = False) -> Corpus:
    """Loads a Hub dataset with the columns ``audio`` and ``label``, from the cache where it is there.

    Args:
        repo_id: ``owner/name`` on the Hub.
        streaming: Read over the network without keeping a copy on disk.

    Raises:
        HubUnreachableError: If the Hub cannot be reached and nothing is cached.
        CorpusError: If there is no such dataset, or columns are missing.
    """
    with _errors_explained(repo_id):
        return _corpus_from_tables(_tables(repo_id, streaming), repo_id, f"the Hub dataset {repo_id}")


def class_names(repo_id: str, streaming: bool = False) -> list[str]:
    """The names of the classes of a Hub dataset, none where its labels are text; raises as ``load_hub``."""
    with _errors_explained(repo_id):
        features = next(iter(_tables(repo_id, streaming).values())).features or {}
    return list(getattr(features.get("label"), "names", ()))


def _tables(repo_id: str, streaming: bool) -> "Mapping[str, Dataset | IterableDataset]":
    from datasets import load_dataset
    from huggingface_hub import snapshot_download

    is_reachable = hub_is_reachable()
    if streaming and not is_reachable:
        raise _unreachable(repo_id)
    # Asked while online, the Hub completes a download that was cut off earlier.
    source = (
        repo_id
        if streaming
        else snapshot_download(repo_id, repo_type="dataset", local_files_only=not is_reachable)
    )
    tables: Mapping[str, Dataset | IterableDataset] = load_dataset(source, streaming=streaming)
    return tables


@contextlib.contextmanager
def _errors_explained(repo_id: str) -> Iterator[None]:
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    try:
        yield
    except LocalEntryNotFoundError:
        raise _unreachable(repo_id) from None
    except HTTPError as error:
        raise CorpusError(f"{repo_id} could not be fetched from the Hub: {error}") from error
    except OSError as error:
        raise CorpusError(hub_cache_problem(error) or f"{repo_id} cannot be read: {error}") from error


def _unreachable(repo_id: str) -> HubUnreachableError:
    return HubUnreachableError(
        f"{repo_id} is not in the cache and the Hugging Face Hub cannot be reached. Connect once, or "
        "point --dataset at a folder of recordings, or use --dataset synthetic."
    )


def _corpus_from_tables(tables: "Mapping[str, Dataset | IterableDataset]", name: str, origin: str) -> Corpus:
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


def _clips_of_table(table: Any, split_name: str, origin: str) -> list[Clip]:
    from datasets import Audio, ClassLabel, IterableDataset

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
    streamed = isinstance(table, IterableDataset)
    clips: list[Clip] = []
    takes: Counter[tuple[str, str]] = Counter()
    for row, record in enumerate(table):
        value = names[record["label"]] if names else str(record["label"])
        label = label_of_name.get(value.lower(), value)
        # A stream cannot be read at a row later on, so its encoded bytes stay in memory.
        read = _constant(record["audio"]) if streamed else _row_reader(table, row)
        path = Path(record["audio"]["path"] or f"{row:06d}")
        speaker = record.get("speaker")
        speaker = None if speaker is None else str(speaker)
        clips.append(labelled_clip(path, label, speaker, split_name, path.stem, takes, read))
    return clips


def _row_reader(table: "Dataset", row: int) -> Callable[[], AudioSource]:
    return lambda: _encoded(table[row]["audio"])


def _constant(record: Mapping[str, Any]) -> Callable[[], AudioSource]:
    encoded = _encoded(record)
    return lambda: encoded


def _encoded(record: Mapping[str, Any]) -> AudioSource:
    return record["bytes"] if record["bytes"] is not None else record["path"]
