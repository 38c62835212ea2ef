"""Which files of a folder are audio: one list of suffixes for recognition, corpora and non-words.

Opening every file to ask the decoder would take a corpus of many thousand clips a minute. What is left out
is counted, so that it can be said.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: What phones, computers and recorders write, films with a sound track included.
AUDIO_SUFFIXES = frozenset(
    (
        *(".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".avi", ".caf"),
        *(".dts", ".eac3", ".flac", ".flv", ".gsm", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2"),
        *(".mp3", ".mp4", ".mpg", ".mpga", ".oga", ".ogg", ".ogv", ".opus", ".rm", ".snd", ".spx", ".ts"),
        *(".tta", ".voc", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wmv", ".wv"),
    )
)
#: Folders that systems put beside a user's own; like names that begin with a dot, they are hidden.
SYSTEM_FOLDERS = frozenset({"__MACOSX", "$RECYCLE.BIN", "@eaDir", "System Volume Information", "lost+found"})


@dataclass(frozen=True)
class Listing:
    """The files below a folder.

    Attributes:
        folder: The folder.
        files: Audio files, sorted.
        left_out: Kind -> number of the entries that are none: "hidden", a suffix, or "without a suffix".
        unlisted: The folders below that cannot be looked into, and why.
    """

    folder: Path
    files: tuple[Path, ...]
    left_out: Mapping[str, int]
    unlisted: tuple[tuple[Path, str], ...]

    @property
    def summary(self) -> str:
        """What is left out, as in "left out: 1 .txt, 2 hidden"; empty if nothing is."""
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(self.left_out.items()))
        return f"left out: {counts}" if counts else ""


def list_audio(folder: Path) -> Listing:
    """Lists the audio files below a folder by their names; nothing is opened."""
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    errors: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=errors.append):
        hidden = [name for name in folders if is_hidden(name)]
        folders[:] = [name for name in folders if name not in hidden]
        left_out["hidden"] += len(hidden)
        for name in names:
            suffix = Path(name).suffix.lower()
            if is_hidden(name):
                left_out["hidden"] += 1
            elif suffix in AUDIO_SUFFIXES:
                files.append(Path(place, name))
            else:
                left_out[suffix or "without a suffix"] += 1
    unlisted = tuple((Path(error.filename), error.strerror or str(error)) for error in errors)
    return Listing(folder, tuple(sorted(files)), +left_out, unlisted)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's business: hidden, or one of ``SYSTEM_FOLDERS``."""
    return name.startswith(".") or name in SYSTEM_FOLDERS
