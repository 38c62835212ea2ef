"""Dataclasses from JSON: what fits is immutable, what does not is named with its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.records.checked import LayoutError, from_json, to_json


@dataclass(frozen=True)
class Inner:
    values: tuple[float, ...]


@dataclass(frozen=True)
class Outer:
    name: str
    count: int | None
    inner: Mapping[str, Inner]
    later: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: expected some text")


GOOD = {"name": "a", "count": None, "inner": {"x": {"values": [1, 2.5]}}}


def test_what_fits_comes_back_and_goes_out_again() -> None:
    record = from_json(Outer, json.dumps(GOOD | {"unknown": 1}))
    assert record == Outer("a", None, {"x": Inner((1, 2.5))})
    assert json.loads(json.dumps(to_json(record))) == GOOD | {"later": False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name: Input should be a valid string, found 3"),
        ({"name": ""}, "name: expected some text"),
        ({"count": True}, "count: Input should be a valid integer, found true"),
        ({"count": 1.5}, "count: Input should be a valid integer, found 1.5"),
        ({"inner": []}, "inner: Input should be an object, found []"),
        ({"inner": {"x": {}}}, "inner.x.values: Field required"),
        (
            {"inner": {"x": {"values": [1, "b"]}}},
            'inner.x.values.1: Input should be a valid number, found "b"',
        ),
        ({"later": None}, "later: Input should be a valid boolean, found null"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError) as error:
        from_json(Outer, json.dumps(GOOD | change))
    assert message in str(error.value)


def test_a_list_is_no_record() -> None:
    with pytest.raises(LayoutError, match="an object, found"):
        from_json(Outer, "[]")
