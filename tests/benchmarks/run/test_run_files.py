"""The result folder: what somebody else put there is left alone, what cannot be written is said."""

import tempfile
from pathlib import Path

import pytest

from benchmarks.run.arguments import parse_request
from benchmarks.run.run_files import open_folder
from inference.errors import UserError


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    request = parse_request([])
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds other files"):
        open_folder(tmp_path, request)
    with pytest.raises(UserError, match="cannot be made"):
        open_folder(tmp_path / "thesis.tex" / "results", request)
    with pytest.raises(UserError, match="cannot be made"):
        open_folder(Path("/proc/results"), request)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("owner_and_name", [(Path, "iterdir"), (tempfile, "NamedTemporaryFile")])
def test_folders_without_permission_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner_and_name: tuple[object, str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    request = parse_request([])
    open_folder(tmp_path, request)
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(*owner_and_name, refuse)
        with pytest.raises(UserError, match="cannot be made or written: Permission denied"):
            open_folder(tmp_path, request)
