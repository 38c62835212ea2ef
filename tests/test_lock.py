"""uv's lock file is that of pyproject.toml, and names the public index alone: ``uv lock`` makes it again."""

import tomllib

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.conftest import PROJECT

LOCK = tomllib.loads((PROJECT / "uv.lock").read_text(encoding="utf-8"))
Wanted = tuple[str, frozenset[str], SpecifierSet, str]


def test_it_knows_every_dependency() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked: set[Wanted] = set()
    for extra, lines in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for wanted in map(Requirement, lines):
            asked.add((wanted.name, frozenset(wanted.extras), wanted.specifier, extra))
    (ours,) = (package for package in LOCK["package"] if package["name"] == project["name"])
    locked: set[Wanted] = set()
    for row in ours["metadata"]["requires-dist"]:
        extra = row.get("marker", "").removeprefix("extra == ").strip("'")
        specifier = SpecifierSet(row.get("specifier", ""))
        locked.add((row["name"], frozenset(row.get("extras", ())), specifier, extra))
    assert locked == asked
    assert LOCK["requires-python"] == project["requires-python"]


def test_everything_comes_from_the_public_index() -> None:
    sources = [package["source"] for package in LOCK["package"]]
    assert sources.count({"editable": "."}) == 1
    assert sources.count({"registry": "https://pypi.org/simple"}) == len(sources) - 1
    files = [file for package in LOCK["package"] for file in package.get("wheels", ())]
    files += [package["sdist"] for package in LOCK["package"] if "sdist" in package]
    assert {file["url"].split("/")[2] for file in files} == {"files.pythonhosted.org"}
