"""Dataclasses from JSON and back: each field is checked against its annotation, once, when it is read."""

import dataclasses
import inspect
import json
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Record = TypeVar("Record")


class LayoutError(ValueError):
    """A value of JSON is not what the layout says; names its place and what is expected there."""


def from_json(kind: type[Record], text: str) -> Record:
    """The typed record of a JSON text; fields that the layout does not know are left out.

    Raises:
        LayoutError: With the place and what is expected there.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(text, strict=True)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        found = "" if first["type"] in ("missing", "value_error") else f", found {_shortened(first['input'])}"
        message = first["msg"].removeprefix("Value error, ")
        raise LayoutError(f"{place}: {message}{found}" if place else f"{message}{found}") from None


def to_json(record: Any) -> dict[str, Any]:
    """A record as a dictionary that ``json`` can write."""
    return dataclasses.asdict(record)


def json_schema(kinds: list[type]) -> dict[str, Any]:
    """The layout of classes as definitions of a JSON schema, with what is said of them as descriptions."""
    from pydantic import TypeAdapter

    asked = [(kind, "validation", _adapter(kind)) for kind in kinds]
    template = "#/definitions/{model}"
    _, document = TypeAdapter.json_schemas(asked, ref_template=template)  # type: ignore[arg-type]
    definitions: dict[str, Any] = document["$defs"]
    for kind in kinds:
        definitions[kind.__name__]["description"] = summary_of(kind)
        for name, text in descriptions(kind).items():
            definitions[kind.__name__]["properties"][name]["description"] = text
    return definitions


def descriptions(kind: type) -> dict[str, str]:
    """Field -> what its annotation says of it."""
    hints = get_type_hints(kind, include_extras=True).items()
    return {name: " ".join(get_args(hint)[1:]) for name, hint in hints}


def summary_of(kind: type) -> str:
    """The first paragraph of the docstring of a class."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


@cache
def _adapter(kind: type[Record]) -> "TypeAdapter[Record]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _shortened(value: Any) -> str:
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
