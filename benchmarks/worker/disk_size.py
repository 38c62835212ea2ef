"""Bytes: which files of a checkpoint were opened, and what is installed behind the imported modules."""

import os
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path


class OpenedFiles:
    """Remembers every path that Python opens from now on.

    Compiled libraries open files without telling; a backend therefore declares its files, too. There
    is no way to take an audit hook away again: one per process.
    """

    def __init__(self) -> None:
        self.paths: set[str] = set()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            self.paths.add(arguments[0])


def checkpoint_files(declared: Iterable[Path], opened: Iterable[str]) -> dict[str, int]:
    """The files of a checkpoint: those declared, and what else was opened in their folders.

    Links are resolved and a file that has two names counts once.

    Returns:
        Name relative to the common folder -> bytes.
    """
    declared = [path.resolve() for path in declared]
    if not declared:
        return {}
    folders = {path.parent for path in declared}
    paths = {*declared, *(path for path in map(Path, opened) if _lies_in(path, folders))}
    root = Path(os.path.commonpath([str(folder) for folder in folders]))
    sizes: dict[str, int] = {}
    inodes: set[tuple[int, int]] = set()
    for path in sorted({path.resolve() for path in paths}):
        state = path.stat()
        if (state.st_dev, state.st_ino) not in inodes:
            inodes.add((state.st_dev, state.st_ino))
            sizes[os.path.relpath(path, root)] = state.st_size
    return sizes


def runtime_packages(modules: Iterable[str]) -> dict[str, int]:
    """Installed distributions behind imported modules, with the bytes of their files.

    The interpreter and its standard library are not counted: every backend needs them.
    """
    owners = metadata.packages_distributions()
    names = {name for module in modules for name in owners.get(module.partition(".")[0], ())}
    return {name: size for name in sorted(names) if (size := _distribution_bytes(name))}


def _distribution_bytes(name: str) -> int:
    files = metadata.distribution(name).files or ()
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _lies_in(path: Path, folders: set[Path]) -> bool:
    # A package's own modules are opened, too, where a checkpoint is shipped inside the package.
    return path.suffix not in (".py", ".pyc") and path.is_file() and path.resolve().parent in folders
