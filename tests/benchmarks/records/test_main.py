"""The layout as documentation and as schema: in step with the classes and with what is committed."""

import dataclasses
import json
import re

import pytest

from benchmarks.records import measurements, run_record
from benchmarks.records.__main__ import main, markdown, schema
from benchmarks.records.checked import descriptions
from benchmarks.records.files import read_run
from tests.conftest import PROJECT

KINDS = [
    kind
    for module in (run_record, measurements)
    for kind in vars(module).values()
    if dataclasses.is_dataclass(kind)
]


def test_the_page_of_results_is_what_the_command_prints() -> None:
    page = (PROJECT / "results" / "README.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("<!-- records:start -->\n")
    assert rest.partition("<!-- records:end -->")[0] == markdown()


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described(kind: type) -> None:
    assert all(descriptions(kind).values())


def test_the_schema_defines_all_that_it_refers_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text) == schema()
    assert set(re.findall(r"#/definitions/(\w+)", text)) <= schema()["definitions"].keys()
    assert {kind.__name__ for kind in KINDS} == schema()["definitions"].keys()


def test_the_committed_run_is_read_whole() -> None:
    records = read_run(PROJECT / "results" / "unheard")
    asked = {(answer.backend, answer.protocol, answer.condition) for answer in records.answers()}
    assert asked
    assert {backend for backend, _, _ in asked} <= {entry.backend for entry in records.run.backends}
    assert {call.backend for call in records.latency} == {record.backend for record in records.footprint}
