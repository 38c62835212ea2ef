"""``threads`` bounds what a prediction uses, also where several backends share one process."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

CODE = """
import sys
import numpy as np
import psutil
from inference.backends.table import load_backend

clip = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
backends = [load_backend("wav2vec2"), load_backend("whisper", sys.argv[1]), load_backend("mfcc")]
for backend in backends:
    backend.predict([clip] * 2)
def seconds():
    return {thread.id: thread.user_time for thread in psutil.Process().threads()}

for backend in backends:
    before = seconds()
    spent = {}
    while sum(spent.values()) < 0.5:
        backend.predict([clip] * 4)
        spent = {name: total - before.get(name, 0.0) for name, total in seconds().items()}
    print(sum(share > 0.1 * sum(spent.values()) for share in spent.values()))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core cannot be oversubscribed")
def test_one_thread_is_one_thread_for_every_backend_in_a_process(tiny_whisper) -> None:
    """Threads that did more than a tenth of the work; other processes change nothing of it.

    CTranslate2 computes in a thread of its own, while the one that called it waits.
    """
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    finished = subprocess.run(
        [sys.executable, "-c", CODE, str(tiny_whisper)],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert finished.returncode == 0, finished.stderr
    busy = [int(line) for line in finished.stdout.split()]
    assert busy == [1, 2, 1]
