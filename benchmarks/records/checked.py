"""Dataclasses from JSON and back: each field is checked against its annotation, once, when it is read."""

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

Record = TypeVar("Record")

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
_SCHEMA_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


class LayoutError(ValueError):
    """A value of JSON is not what the layout says.

    Args:
        place: Names and positions that lead to it.
        message: What is there and what was expected.
    """

    def __init__(self, place: tuple[str, ...], message: str):
        super().__init__(f"{'.'.join(place)}: {message}" if place else message)
        self.place = place
        self.message = message

    def within(self, name: str) -> "LayoutError":
        """The same, seen from one level further up."""
        return LayoutError((name, *self.place), self.message)


def from_json(kind: type[Record], value: Any) -> Record:
    """The typed record of a JSON value; fields that the layout does not know are left out.

    Raises:
        LayoutError: With the place and what is expected there.
    """
    record: Record = _converter(kind)(value)  # type: ignore[arg-type]
    return record


def to_json(record: Any) -> dict[str, Any]:
    """A record as a dictionary that ``json`` can write."""
    return dataclasses.asdict(record)


def json_schema(kind: type) -> dict[str, Any]:
    """The layout of a class as JSON schema (draft 7), its docstring as descriptions."""
    told = descriptions(kind)
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    hints = typing.get_type_hints(kind)
    return {
        "type": "object",
        "description": summary_of(kind),
        "required": required,
        "properties": {name: {**_schema_of(hint), "description": told[name]} for name, hint in hints.items()},
    }


def descriptions(kind: type) -> dict[str, str]:
    """Field -> what the docstring of the class says of it."""
    _, _, section = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    told: dict[str, str] = {}
    for name, text in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", section, flags=re.MULTILINE):
        told[name] = " ".join(text.split())
    return told


def summary_of(kind: type) -> str:
    """The first paragraph of the docstring of a class."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


@cache
def _converter(hint: Any) -> Callable[[Any], Any]:
    """The function that checks a value against an annotation and makes it immutable."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _record_converter(hint)  # type: ignore[arg-type]
    if origin in (types.UnionType, typing.Union):
        return _union_converter(arguments)
    if origin is tuple:
        return _list_converter(arguments[0])
    if origin is not None:
        return _mapping_converter(arguments[1])
    return _plain_converter(hint)


def _record_converter(kind: type) -> Callable[[Any], Any]:
    fields = dataclasses.fields(kind)
    hints = typing.get_type_hints(kind)
    steps = [(field.name, _converter(hints[field.name])) for field in fields]
    optional = {field.name for field in fields if field.default is not dataclasses.MISSING}

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _unexpected(value, "an object")
        found = {}
        for name, step in steps:
            if name in value:
                try:
                    found[name] = step(value[name])
                except LayoutError as error:
                    raise error.within(name) from None
            elif name not in optional:
                raise LayoutError((name,), "is missing")
        try:
            return kind(**found)
        except LayoutError:
            raise
        except ValueError as error:
            raise LayoutError((), str(error)) from None

    return convert


def _union_converter(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    nullable = type(None) in arguments
    steps = [_converter(argument) for argument in arguments if argument is not type(None)]

    def convert(value: Any) -> Any:
        if value is None and nullable:
            return None
        for step in steps[:-1]:
            try:
                return step(value)
            except LayoutError:
                continue
        return steps[-1](value)

    return convert


def _list_converter(argument: Any) -> Callable[[Any], Any]:
    step = _converter(argument)

    def convert(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise _unexpected(value, "a list")
        items = []
        for place, item in enumerate(value):
            try:
                items.append(step(item))
            except LayoutError as error:
                raise error.within(str(place)) from None
        return tuple(items)

    return convert


def _mapping_converter(argument: Any) -> Callable[[Any], Any]:
    step = _converter(argument)

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _unexpected(value, "an object")
        found = {}
        for name, item in value.items():
            try:
                found[name] = step(item)
            except LayoutError as error:
                raise error.within(name) from None
        return found

    return convert


def _plain_converter(kind: type) -> Callable[[Any], Any]:
    allowed = (int, float) if kind is float else (kind,)

    def convert(value: Any) -> Any:
        if type(value) in allowed:
            return value
        raise _unexpected(value, _NAMES[kind])

    return convert


def _unexpected(value: Any, expected: str) -> LayoutError:
    shown = json.dumps(value, default=str)
    return LayoutError((), f"expected {expected}, found {shown if len(shown) <= 60 else shown[:57] + '...'}")


def _schema_of(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return {"$ref": f"#/definitions/{hint.__name__}"}  # type: ignore[union-attr]
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_schema_of(argument) for argument in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(arguments[0])}
    if origin is not None:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1])}
    return {"type": _SCHEMA_TYPES[hint]}
