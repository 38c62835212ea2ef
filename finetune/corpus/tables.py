"""Corpora that come as a table of audio and label: the Hub dataset, and ``audiofolder`` layouts.

The ``datasets`` library reads both; its Audio column stays undecoded, so that
``inference.audio.decode_audio`` remains the only decoder.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.corpus.clip import Clip, Corpus, clip_from_path, corpus_name
from inference.audio import AudioSource
from inference.errors import CorpusError, HubUnreachableError
from inference.vocabulary import vocabulary
from inference.weights import hub_is_reachable

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

HUB_DATASET = "mteb/free-spoken-digit-dataset"
#: A table without a split of its own gives every fifth clip of a label to its test set.
TEST_EVERY = 5


def load_hub(repo_id: str = HUB_DATASET, streaming: bool = False) -> Corpus:
    """Loads a Hub dataset with the columns ``audio`` and ``label``, from the cache where it is there.

    Args:
        repo_id: ``owner/name`` on the Hub.
        streaming: Read over the network without keeping a copy on disk.

    Raises:
        HubUnreachableError: If the Hub cannot be reached and nothing is cached.
        CorpusError: If there is no such dataset, or columns are missing.
    """
    from datasets import load_dataset
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    if not hub_is_reachable():
        if streaming:
            raise _unreachable(repo_id)
        try:
            folder = snapshot_download(repo_id, repo_type="dataset", local_files_only=True)
        except LocalEntryNotFoundError:
            raise _unreachable(repo_id) from None
        return _corpus_from_tables(load_dataset(folder), repo_id, f"the Hub dataset {repo_id}")
    try:
        # Asked while online, the Hub completes a download that was cut off earlier.
        source = repo_id if streaming else snapshot_download(repo_id, repo_type="dataset")
        tables = load_dataset(source, streaming=streaming)
    except (HTTPError, OSError) as error:
        raise CorpusError(f"{repo_id} could not be fetched from the Hub: {error}") from error
    return _corpus_from_tables(tables, repo_id, f"the Hub dataset {repo_id}")


def load_audiofolder(folder: Path) -> Corpus:
    """Loads one sub-folder per label, or a folder with a ``metadata.csv`` (file_name, label, speaker).

    Raises:
        CorpusError: If the library finds no labelled audio there.
    """
    from datasets import load_dataset

    try:
        tables = load_dataset("audiofolder", data_dir=str(folder))
    except (ValueError, OSError) as error:
        raise CorpusError(f"{folder} cannot be read as labelled audio: {error}") from error
    return _corpus_from_tables(tables, name="audiofolder", origin=f"the folder {folder.name}")


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
        clips = _mark_every_fifth(clips)
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
        clips.append(
            _clip(record["audio"]["path"], label, record.get("speaker"), split_name, row, read, takes)
        )
    return clips


def _clip(
    path: str | None,
    label: str,
    speaker: str | None,
    split_name: str,
    row: int,
    read: Callable[[], AudioSource],
    takes: Counter[tuple[str, str]],
) -> Clip:
    named = clip_from_path(Path(path)) if path else None
    if named and named.label in vocabulary().labels and named.label != label:
        raise CorpusError(
            f"{path}: the file name says {named.label}, its folder or label column says {label}. Rename one; "
            "folders named after speakers must not look like labels."
        )
    if named and named.label == label:
        return replace(named, read=read, official_test=split_name == "test")
    speaker = str(speaker) if speaker is not None else "unknown"
    index = takes[label, speaker]
    takes[label, speaker] += 1
    stem = Path(path).stem if path else f"{row:06d}"
    return Clip(f"{split_name}/{label}/{stem}", label, speaker, index, split_name == "test", read)


def _row_reader(table: "Dataset", row: int) -> Callable[[], AudioSource]:
    return lambda: _encoded(table[row]["audio"])


def _constant(record: Mapping[str, Any]) -> Callable[[], AudioSource]:
    encoded = _encoded(record)
    return lambda: encoded


def _encoded(record: Mapping[str, Any]) -> AudioSource:
    return record["bytes"] if record["bytes"] is not None else record["path"]


def _mark_every_fifth(clips: Iterable[Clip]) -> list[Clip]:
    takes: Counter[tuple[str, str]] = Counter()
    marked = []
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        position = takes[clip.label, clip.speaker]
        takes[clip.label, clip.speaker] += 1
        marked.append(replace(clip, official_test=position % TEST_EVERY == 0))
    return marked
