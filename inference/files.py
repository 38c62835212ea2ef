"""Where files that can be made again are kept, and writing a file so that it is there whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from inference.errors import CheckpointError


def cache_folder() -> Path:
    """The user's cache: ``$XDG_CACHE_HOME/spoken-digits`` or ``~/.cache/spoken-digits``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "spoken-digits"


def read_json(path: Path) -> Any:
    """Reads a JSON file of a checkpoint; CheckpointError names the file if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); restore or make it again.") from error


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON document for people and programs, in one step."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text under a temporary name beside its place, then renames it."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name beside its place, then renames it; on failure neither stays.

    The folder is made if it is missing.
    """
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
