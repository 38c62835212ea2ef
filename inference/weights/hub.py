"""The Hugging Face Hub: whether it answers, what its cache says, and which names are its ids."""

import errno
import http.client
import queue
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

from inference.weights.download import may_fetch

#: An HTTP status from here on means that nothing behind the endpoint can serve files now.
_FIRST_SERVER_ERROR = 500
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_DISK_ERRORS = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS})


def hub_is_reachable(timeout_s: float = 3.5) -> bool:
    """Asks the Hub for one answer, whatever it is, before a library starts its minutes of retries.

    Respects ``SPOKEN_DIGITS_OFFLINE``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and the usual proxy
    variables. The time limit holds even where name resolution hangs or a server accepts the
    connection and never answers.

    Args:
        timeout_s: Longest time to wait, in seconds.

    Returns:
        True if the endpoint answered in time and offline mode is off.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or not may_fetch():
        return False
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        answers.put(_answers(constants.ENDPOINT, timeout_s))

    # Socket timeouts do not cover name resolution; a daemon thread can be left behind.
    threading.Thread(target=ask, name="hub-reachability", daemon=True).start()
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty:
        return False


def hub_cache_problem(error: Exception) -> str | None:
    """What to say where a file of the Hub's cache cannot be used; None of an error of another kind."""
    if not isinstance(error, OSError) or (error.filename is None and error.errno not in _DISK_ERRORS):
        return None
    return f"the cache of the Hub cannot be used: {error}. Set HF_HOME to a folder that can be written."


def is_hub_id(name: str) -> bool:
    """Whether "owner/name" of a model or data set was meant, and no folder.

    "runs/mine" could be an id; it is none where there is a folder "runs".
    """
    return _HUB_ID.fullmatch(name) is not None and not Path(name).parent.is_dir()


def _answers(endpoint: str, timeout_s: float) -> bool:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=timeout_s):
            return True
    except urllib.error.HTTPError as error:
        return error.code < _FIRST_SERVER_ERROR
    except (OSError, ValueError, http.client.HTTPException):
        # No name, no route, refused, timed out; not a URL; something that does not speak HTTP.
        return False
