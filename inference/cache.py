"""Where the project keeps what it can make or fetch again."""

import os
from pathlib import Path


def cache_folder(room: str) -> Path:
    """A folder of the user's cache: ``$XDG_CACHE_HOME/spoken-digits/ROOM``, by default below ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "spoken-digits" / room
