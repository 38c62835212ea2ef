"""``threads`` bounds what a prediction uses, also where several backends share one process."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

CODE = """
import sys, time
import numpy as np
from inference.backends.table import load_backend

clip = (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
backends = [load_backend("wav2vec2"), load_backend("whisper", sys.argv[1]), load_backend("mfcc")]
for backend in backends:
    backend.predict([clip] * 2)
for backend in backends:
    cpu, wall = time.process_time(), time.perf_counter()
    while time.perf_counter() - wall < 1.0:
        backend.predict([clip] * 4)
    print((time.process_time() - cpu) / (time.perf_counter() - wall))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core cannot be oversubscribed")
def test_one_thread_is_one_thread_for_every_backend_in_a_process(tiny_whisper) -> None:
    """Processor time over time on the clock; other work on the machine only makes it smaller."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    finished = subprocess.run(
        [sys.executable, "-c", CODE, str(tiny_whisper)],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert finished.returncode == 0, finished.stderr
    shares = [float(line) for line in finished.stdout.split()]
    assert len(shares) == 3
    assert max(shares) < 1.2, shares
