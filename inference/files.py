"""Where files that can be made again are kept, and writing a file so that it is there whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """The user's cache: ``$XDG_CACHE_HOME/spoken-digits`` or ``~/.cache/spoken-digits``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "spoken-digits"


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON document for people and programs, in one step."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text under a temporary name beside its place, then renames it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
