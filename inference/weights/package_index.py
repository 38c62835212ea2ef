"""Where a file of the Python package index lies, asked of the index that pip is set up for.

Only addresses are looked up: nothing is installed and no code of a package runs. A mirror of the
company or of the house works as for pip: ``PIP_INDEX_URL``, ``PIP_EXTRA_INDEX_URL``, ``PIP_NO_INDEX``
and the files of ``pip config`` are respected.
"""

import ast
import functools
import http.client
import importlib.util
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
from html.parser import HTMLParser

from inference.weights.download import DownloadError, open_url

PUBLIC_INDEX = "https://pypi.org/simple"
_SETTINGS = ("index-url", "extra-index-url", "no-index")
#: Longest wait for an index to answer, in seconds.
_ANSWER_S = 5.0
#: PEP 691 (JSON) where the index knows it, PEP 503 (HTML) where not.
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


def find_file(package: str, filename: str) -> str:
    """The address of one file of a package.

    Args:
        package: Its name on the index.
        filename: Of the wheel.

    Raises:
        DownloadError: If no index that pip would ask has it.
    """
    problems = []
    for index in index_urls():
        page = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', package).lower()}/"
        try:
            found = _files(page).get(filename)
        except (OSError, ValueError, http.client.HTTPException) as error:
            problems.append(f"{_host(index)}: {getattr(error, 'reason', None) or error}")
            continue
        if found:
            return found
        problems.append(f"{_host(index)} has no {filename}")
    raise DownloadError(f"no package index has it ({'; '.join(problems) or 'PIP_NO_INDEX is set'}).")


def index_urls() -> list[str]:
    """The indexes that pip would ask, the first one first."""
    settings = _pip_settings()
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return []
    return [settings.get("index-url") or PUBLIC_INDEX, *settings.get("extra-index-url", "").split()]


def _pip_settings() -> dict[str, str]:
    """What pip's environment variables say, and where they leave something open its files."""
    variables = {name: f"PIP_{name.upper().replace('-', '_')}" for name in _SETTINGS}
    settings = {name: os.environ[text] for name, text in variables.items() if text in os.environ}
    if {"index-url", "extra-index-url"} <= set(settings):
        return settings
    return {**_pip_files(), **settings}


@functools.cache
def _pip_files() -> dict[str, str]:
    """The settings in the files of ``pip config``; none where there is no pip."""
    if importlib.util.find_spec("pip") is None:
        return {}
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = (line.removeprefix("global.").partition("=") for line in listed.splitlines())
    return {name: str(ast.literal_eval(value)) for name, _, value in lines if name in _SETTINGS}


def _files(page: str) -> dict[str, str]:
    """File name -> address, of one page of an index."""
    # A folder laid out as an index has the pages in files.
    address = f"{page}index.html" if page.startswith("file:") else page
    with open_url(address, {"Accept": _ACCEPT}, timeout_s=_ANSWER_S) as response:
        content, kind = response.read(), response.headers.get_content_type()
    if kind.endswith("json"):
        links = {file["filename"]: file["url"] for file in json.loads(content)["files"]}
    else:
        reader = _LinkReader()
        reader.feed(content.decode("utf-8", errors="replace"))
        links = reader.links
    # The user and password of the index are those of its files, if they lie on the same host.
    return {name: _with_credentials(urllib.parse.urljoin(page, link), page) for name, link in links.items()}


class _LinkReader(HTMLParser):
    """Collects the links of a page by the last part of their path."""

    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href") if tag == "a" else None
        if link:
            path = urllib.parse.urlsplit(link).path
            self.links[urllib.parse.unquote(path.rpartition("/")[2])] = urllib.parse.urldefrag(link).url


def _with_credentials(link: str, page: str) -> str:
    there, here = urllib.parse.urlsplit(link), urllib.parse.urlsplit(page)
    if here.username and not there.username and there.hostname == here.hostname:
        return there._replace(netloc=here.netloc).geturl()
    return link


def _host(index: str) -> str:
    parts = urllib.parse.urlsplit(index)
    return parts.hostname or parts.path
