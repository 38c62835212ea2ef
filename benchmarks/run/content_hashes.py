"""Hashes that tell whether figures of an earlier run still hold: of code, weights and texts."""

import hashlib
from pathlib import Path

from benchmarks.run.entries import PROJECT_ROOT, Entry
from inference.backends.table import calibration_folder, checkpoint_parts


def code_hash(*packages: str) -> str:
    """Hash of the source files of packages of this project."""
    paths = sorted(path for package in packages for path in (PROJECT_ROOT / package).rglob("*.py"))
    return combined_hash(*(path.read_text(encoding="utf-8") for path in paths))


def weights_hash(entry: Entry) -> str:
    """Hash of everything that an entry loads."""
    parts = checkpoint_parts(entry.spec, entry.checkpoint)
    own = calibration_folder(entry.spec.name, entry.checkpoint) if entry.spec.composite else None
    return combined_hash(*map(_checkpoint_hash, [*parts, *([str(own)] if own else [])]))


def combined_hash(*parts: str) -> str:
    """First 16 hex digits of the SHA-256 over texts in their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:16]


def _checkpoint_hash(checkpoint: str) -> str:
    """Hash of the files of a checkpoint; of its name where it is no folder."""
    folder = Path(checkpoint)
    if not folder.is_dir():
        return checkpoint
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
