"""A folder of recordings, and three ways of saying what each of them holds.

* ``metadata.csv`` with the columns file_name, label and, where it is known, speaker;
* sub-folders named after labels;
* file names ``{label}_{speaker}_{index}``, flat or in folders of any name.

Folders ``train``, ``validation`` and ``test`` split the corpus; no other name does. The files are listed
here, not by the ``datasets`` library, which also takes a "test" or "eval" in the name of a file for a
split, and a bracket in the name of a folder for a pattern.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from finetune.corpus.clip import (
    Clip,
    Corpus,
    clip_from_path,
    corpus_name,
    in_part,
    labelled_clip,
    with_test_set,
)
from inference.audio_files import Listing, list_audio
from inference.errors import CorpusError
from inference.vocabulary import vocabulary

METADATA_NAME = "metadata.csv"
PARTS = ("train", "validation", "test")
#: Labels that nobody asked for are named one by one up to this number.
MAX_NAMED = 8


@dataclass(frozen=True)
class _File:
    """An audio file of the corpus.

    Attributes:
        path: Where it is.
        part: The part of the corpus's own split that its folder names, None if it is in none.
        place: Its path below the corpus, or below its part.
    """

    path: Path
    part: str | None
    place: Path

    @property
    def folder(self) -> str | None:
        """The folder that may be named after its label."""
        return self.place.parts[0] if len(self.place.parts) > 1 else None

    @property
    def label(self) -> str | None:
        """The label that its folder is named after."""
        return vocabulary().label_of_name.get((self.folder or "").lower())


def load_folder(folder: Path) -> Corpus:
    """Lists the clips below a folder; no audio is read.

    What is left out, as a folder of words that are not in the vocabulary, is part of the description.

    Raises:
        CorpusError: If there is no audio, or what a file holds cannot be told.
    """
    listing = list_audio(folder)
    for place, reason in listing.unlisted:
        raise CorpusError(f"{place} cannot be listed: {reason}.")
    if not listing.files:
        raise CorpusError(
            f"{folder} holds no audio files ({listing.summary or 'it is empty'}); expected files such as "
            "7_jackson_32.wav, or one sub-folder per label."
        )
    files = [_file(folder, path) for path in listing.files]
    unknown: Counter[str] = Counter()
    tables = [place / METADATA_NAME for place in (folder, *(folder / part for part in PARTS))]
    if any(table.is_file() for table in tables):
        clips = [clip for table in tables if table.is_file() for clip in _in_table(folder, table, unknown)]
    elif any(file.label for file in files):
        clips = list(_in_label_folders(files, unknown))
    else:
        clips = _with_names(folder, files)
        return _corpus("folder", folder, clips, listing, unknown)
    if not any(clip.official_test for clip in clips):
        clips = with_test_set(clips)
    return _corpus("audiofolder", folder, clips, listing, unknown)


def label_names(folder: Path) -> set[str]:
    """The labels that a folder seems to have, in or out of the vocabulary; nothing is refused here.

    Those of its tables, else its sub-folders if there are two, else what the names of its files begin with.
    """
    files = [_file(folder, path) for path in list_audio(folder).files]
    tables = [place / METADATA_NAME for place in (folder, *(folder / part for part in PARTS))]
    tabled = [row["label"].strip() for table in tables if table.is_file() for row in _rows(table)]
    named = {clip.label for file in files if (clip := clip_from_path(file.path))}
    folders = {file.folder for file in files if file.folder}
    # Speakers may have folders of digits.
    has_known_names = bool(named) and named <= set(vocabulary().labels)
    return set(tabled) or (folders if len(folders) > 1 and not has_known_names else named)


def _file(folder: Path, path: Path) -> _File:
    place = path.relative_to(folder)
    part = place.parts[0].lower() if len(place.parts) > 1 else ""
    return _File(path, part, Path(*place.parts[1:])) if part in PARTS else _File(path, None, place)


def _with_names(folder: Path, files: Sequence[_File]) -> list[Clip]:
    """Clips that their file names explain."""
    misnamed = [file.path for file in files if clip_from_path(file.path) is None]
    if misnamed:
        raise CorpusError(
            f"{len(misnamed)} files in {folder} are not named {{label}}_{{speaker}}_{{index}}, "
            f"the first is {misnamed[0].name}. Rename them, or put each clip into a sub-folder named "
            "after its label."
        )
    named = ((clip_from_path(file.path), file.part) for file in files)
    return [in_part(clip, part) if part else clip for clip, part in named if clip]


def _in_label_folders(files: Sequence[_File], unknown: Counter[str]) -> Iterator[Clip]:
    """Clips in folders named after labels; counts those in others."""
    takes: Counter[tuple[str, str]] = Counter()
    is_split = any(file.part for file in files)
    for file in files:
        if file.label is None or (is_split and not file.part):
            unknown[file.folder or "no label folder"] += 1
            continue
        name = str(Path(*file.place.parts[1:]).with_suffix(""))
        read = partial(Path, file.path)
        yield labelled_clip(file.path, file.label, None, file.part or "train", name, takes, read)


def _in_table(folder: Path, table: Path, unknown: Counter[str]) -> Iterator[Clip]:
    """Clips that a table lists; counts those whose label is not in the vocabulary."""
    takes: Counter[tuple[str, str]] = Counter()
    for row in _rows(table):
        file = _file(folder, table.parent / row["file_name"])
        label = vocabulary().label_of_name.get(row["label"].strip().lower())
        if label is None:
            unknown[row["label"]] += 1
            continue
        if not file.path.is_file():
            raise CorpusError(f"{table} lists {row['file_name']}, which is not there: restore it or its row.")
        name = str(file.place.with_suffix(""))
        read = partial(Path, file.path)
        yield labelled_clip(file.path, label, row.get("speaker"), file.part or "train", name, takes, read)


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{table} cannot be read as a table: {error}.") from error
    missing = {"file_name", "label"} - set(columns)
    if missing:
        raise CorpusError(
            f"{table} lacks the column {' and '.join(sorted(missing))}; found "
            f"{', '.join(columns) or 'nothing'}. Expected file_name, label and, where it is "
            "known, speaker."
        )
    for number, row in enumerate(rows, start=2):
        if not row["file_name"] or row["label"] is None:
            raise CorpusError(f"{table}, line {number}: expected a file_name and a label.")
    return rows


def _corpus(name: str, folder: Path, clips: list[Clip], listing: Listing, unknown: Counter[str]) -> Corpus:
    name = corpus_name(clips, name)
    num_speakers = len({clip.speaker for clip in clips})
    description = f"{len(clips)} clips of {num_speakers} speakers from the folder {folder.name}"
    if name == "fsdd":
        description += " (Free Spoken Digit Dataset)"
    left_out = _left_out(listing, len(clips), unknown)
    if left_out:
        description += f"; left out: {', '.join(left_out)}"
    return Corpus(name, description, tuple(sorted(clips, key=lambda clip: clip.clip_id)))


def _left_out(listing: Listing, num_clips: int, unknown: Counter[str]) -> list[str]:
    """What makes the number of clips less than that of the files in the folder."""
    named = unknown.most_common(MAX_NAMED)
    left_out = [f"{number} clips of {label}" for label, number in named]
    num_unnamed = unknown.total() - sum(number for _, number in named)
    if num_unnamed:
        left_out.append(f"{num_unnamed} clips of {len(unknown) - MAX_NAMED} other words")
    num_unlisted = len(listing.files) - num_clips - unknown.total()
    if num_unlisted > 0:
        left_out.append(f"{num_unlisted} files that {METADATA_NAME} does not list")
    kinds = listing.left_out.items()
    return left_out + [f"{number} {kind}" for kind, number in kinds if kind not in ("hidden", ".csv")]
