"""Many clients at once: every request is answered, and the server does not grow."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable

import psutil
import pytest

from tests.inference.app.conftest import EXAMPLES, Server

CLIENTS = 16
REQUESTS_PER_CLIENT = 60
#: Caches and threads have filled by then.
SETTLED_AFTER = CLIENTS * REQUESTS_PER_CLIENT // 4
MOST_GROWTH_BYTES = 30e6


def post(port: int, clips: list[bytes], first: int, count: Callable[[int | str], None]) -> None:
    """One client: the next clip as soon as the last is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for turn in range(first, first + REQUESTS_PER_CLIENT):
        try:
            connection.request("POST", "/predict", clips[turn % len(clips)])
            response = connection.getresponse()
            response.read()
            count(response.status)
        except (OSError, http.client.HTTPException) as error:
            count(type(error).__name__)
            connection.close()  # the next request opens it again
    connection.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sixteen_clients_are_answered_and_memory_stays(start_server: Callable[..., Server]) -> None:
    server = start_server("--backend", "mfcc")
    process = psutil.Process(server.process.pid)
    clips = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.flac"))]
    outcomes: Counter[int | str] = Counter()
    settled_bytes: list[int] = []
    lock = threading.Lock()

    def count(outcome: int | str) -> None:
        with lock:
            outcomes[outcome] += 1
            if outcomes.total() == SETTLED_AFTER:
                settled_bytes.append(process.memory_info().rss)

    clients = [
        threading.Thread(target=post, args=(server.port, clips, first, count)) for first in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert outcomes == {http.client.OK: CLIENTS * REQUESTS_PER_CLIENT}
    assert process.memory_info().rss - settled_bytes[0] < MOST_GROWTH_BYTES
