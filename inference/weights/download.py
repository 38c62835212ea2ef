"""One file from an address to a folder: resumed where it broke off, accepted only by its hash."""

import base64
import errno
import functools
import hashlib
import http.client
import os
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.errors import UserError

#: Longest silence of a server, in seconds.
TIMEOUT_S = 15.0
#: A connection that breaks is taken up again, so often without a byte gained in between.
MAX_FRUITLESS_TRIES = 3
#: Set to 1, it forbids fetching.
OFFLINE_VARIABLE = "SPOKEN_DIGITS_OFFLINE"
_CHUNK_BYTES = 1 << 18


class DownloadError(UserError):
    """A file that could not be fetched; the message is one sentence without the name of the file."""


@dataclass(frozen=True)
class RemoteFile:
    """What a file must be, wherever it comes from.

    Attributes:
        name: Its name in the folder.
        num_bytes: Its size.
        sha256: Its published hash.
        sha512: Its published hash, where that is the one that is published.
    """

    name: str
    num_bytes: int
    sha256: str = ""
    sha512: str = ""

    @property
    def algorithm(self) -> str:
        """That of the published hash."""
        return "sha512" if self.sha512 else "sha256"

    def is_published(self, path: Path) -> bool:
        """Whether a file on the disk has the published hash."""
        return hash_of(path, self.algorithm) == getattr(self, self.algorithm)


def may_fetch() -> bool:
    """Whether the user lets the project fetch files."""
    return os.environ.get(OFFLINE_VARIABLE, "0") in ("", "0")


def open_url(url: str, headers: Mapping[str, str] | None = None, timeout_s: float = TIMEOUT_S) -> Any:
    """Opens an address; ``user:password@`` in it, proxies and the usual certificate variables are respected.

    Raises:
        OSError, ValueError, http.client.HTTPException: As ``urllib.request.urlopen``.
    """
    parts = urllib.parse.urlsplit(url)
    sent = dict(headers or {})
    if parts.username:
        user, password = (urllib.parse.unquote(text or "") for text in (parts.username, parts.password))
        sent["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(url, headers=sent)
    return urllib.request.urlopen(request, timeout=timeout_s, context=_certificates())


def download(url: str, file: RemoteFile, folder: Path, title: str) -> Path:
    """Fetches one file, with a progress bar on a terminal.

    What arrives is kept as ``NAME.part`` until the hash is right; a later call goes on from there.

    Args:
        url: ``https:``, ``http:`` or ``file:``.
        file: What it must be.
        folder: Where it goes; made if missing.
        title: What the bar says.

    Returns:
        The path of the verified file.

    Raises:
        DownloadError: If it cannot be had, or is not what was published.
    """
    target, partial = folder / file.name, folder / f"{file.name}.part"
    folder.mkdir(parents=True, exist_ok=True)
    if target.is_file():  # verified before it got this name
        return target
    try:
        _receive(url, partial, file, title)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            partial.unlink(missing_ok=True)
            raise full_disk(folder, file.num_bytes) from error
        raise
    if not file.is_published(partial):
        partial.unlink()
        raise DownloadError(
            f"{_without_password(url)} is not the published {file.name} (its {file.algorithm} differs); "
            "it was thrown away."
        )
    os.replace(partial, target)
    return target


def check_space(folder: Path, num_bytes: int) -> None:
    """Refuses a download that the disk cannot hold.

    Raises:
        DownloadError: With what is free and how to choose another disk.
    """
    if shutil.disk_usage(folder).free < num_bytes:
        raise full_disk(folder, num_bytes)


def full_disk(folder: Path, num_bytes: int) -> DownloadError:
    """What is said of a disk without room."""
    free = shutil.disk_usage(folder).free
    return DownloadError(
        f"the disk of {folder} is full: {num_bytes / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free; "
        "make room, or set XDG_CACHE_HOME to a folder elsewhere."
    )


def hash_of(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _receive(url: str, partial: Path, file: RemoteFile, title: str) -> None:
    """Appends to ``partial`` until it has all bytes; tries again where the connection breaks."""
    from tqdm import tqdm

    fruitless = 0
    with tqdm(total=file.num_bytes, unit="B", unit_scale=True, desc=title, disable=None, leave=False) as bar:
        while (had := _size(partial)) < file.num_bytes:
            bar.update(had - bar.n)
            try:
                _receive_once(url, partial, file.num_bytes, bar)
            except urllib.error.HTTPError as error:
                raise DownloadError(
                    f"{_without_password(url)} answered {error.code} {error.reason}."
                ) from error
            except (OSError, ValueError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                problem: Exception | None = error
            else:
                problem = None
            fruitless = fruitless + 1 if _size(partial) <= had else 0
            if fruitless == MAX_FRUITLESS_TRIES:
                raise DownloadError(
                    f"{_without_password(url)} broke off after {_size(partial) / 1e6:.0f} of "
                    f"{file.num_bytes / 1e6:.0f} MB ({problem or 'the server closed the connection'}); "
                    "the same command goes on from there."
                ) from problem


def _receive_once(url: str, partial: Path, num_bytes: int, bar: Any) -> None:
    had = _size(partial)
    with open_url(url, {"Range": f"bytes={had}-"} if had else None) as response:
        # A server that knows no ranges, and a file: address, begin anew.
        resumes = had > 0 and getattr(response, "status", None) == http.client.PARTIAL_CONTENT
        with partial.open("ab" if resumes else "wb") as out:
            if had and not resumes:
                bar.reset()
            received = had if resumes else 0
            while received < num_bytes and (chunk := response.read(min(_CHUNK_BYTES, num_bytes - received))):
                out.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The system's authorities, and those that pip or requests were told of."""
    context = ssl.create_default_context()
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path and Path(path).is_file():
            context.load_verify_locations(cafile=path)
    return context


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
