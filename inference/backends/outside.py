"""Backends from outside the project: rows that installed packages, modules and files add to the table.

An installed package offers a row under the entry-point group ``ENTRY_POINT_GROUP``; a module or file named
with ``--backend-module`` holds one as ``BACKEND``. Its name travels to child processes in ``VARIABLE``.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

from inference.errors import UserError

ENTRY_POINT_GROUP = "spoken_digits.backends"
VARIABLE = "SPOKEN_DIGITS_BACKEND_MODULES"


class Named(Protocol):
    """A row of a table."""

    @property
    def name(self) -> str:
        """What a user types."""


Row = TypeVar("Row", bound=Named)


class OpenTable(MutableMapping[str, Row]):
    """Rows by name, which those from outside join when it is read.

    Args:
        kind: What a row is.
        rows: The project's own.
    """

    def __init__(self, kind: type[Row], rows: Iterable[Row]):
        self._kind = kind
        self._rows = {row.name: row for row in rows}
        self._modules: tuple[str, ...] | None = None

    def __getitem__(self, name: str) -> Row:
        return self._complete()[name]

    def __setitem__(self, name: str, row: Row) -> None:
        self._complete()[name] = row

    def __delitem__(self, name: str) -> None:
        del self._complete()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._complete())

    def _complete(self) -> dict[str, Row]:
        """All rows; UserError if one from outside cannot be had, or takes a name that is in use."""
        modules = backend_modules()
        if self._modules == modules:
            return self._rows
        previous, self._modules = self._modules, modules  # a module that reads the table sees what there is
        rows = dict(self._rows)
        try:
            for source, row in offered_rows(self._kind):
                if rows.setdefault(row.name, row) != row:
                    taken = ", ".join(rows)
                    raise UserError(f"{source}: the name {row.name} is taken; choose one besides {taken}.")
        except UserError:
            self._modules = previous
            raise
        self._rows = rows
        return rows


def use_backend_modules(modules: Iterable[str]) -> None:
    """Has this process and the children it starts from now on offer the backends of modules or files."""
    known = backend_modules()
    wanted = [str(Path(module).expanduser().resolve()) if _is_file(module) else module for module in modules]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys((*known, *wanted)))


def backend_modules() -> tuple[str, ...]:
    """The modules and files that are in use."""
    return tuple(filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)))


def offered_rows(kind: type[Row]) -> Iterator[tuple[str, Row]]:
    """What is offered as a row of the table, each with where it comes from.

    Args:
        kind: What a row has to be.

    Raises:
        UserError: If something cannot be imported, or offers nothing of that kind.
    """
    offers: list[tuple[str, Callable[[], object]]] = [
        (entry_point.value, entry_point.load)
        for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    ]
    offers += [(module, partial(_row_of, module)) for module in backend_modules()]
    for source, load in offers:
        try:
            row = load()
        except Exception as error:  # foreign code may raise anything
            said = str(error) or type(error).__name__
            raise UserError(
                f"{source} offers no backend: {said}. "
                f"It needs BACKEND = {kind.__name__}(...), see the README."
            ) from error
        if not isinstance(row, kind):
            found = type(row).__name__
            raise UserError(f"{source} holds {found}, expected a {kind.__name__}; see the README.")
        yield source, row


def _row_of(module: str) -> object:
    return import_module(module).BACKEND


def import_module(module: str) -> ModuleType:
    """A module by its name, or by the path of its file."""
    if not _is_file(module):
        return importlib.import_module(module)
    path = Path(module).expanduser().resolve()
    # Two files in different folders may bear one name.
    name = f"spoken_digits_backend_{path.stem}_{zlib.crc32(bytes(path)):08x}"
    if name not in sys.modules:
        found = importlib.util.spec_from_file_location(name, path)
        assert found is not None
        assert found.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(found)
        try:
            found.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _is_file(module: str) -> bool:
    return module.endswith(".py")
