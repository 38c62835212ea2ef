"""How long a user waits for the first answer: the command itself, in a new process."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from inference.errors import UserError


def time_start_up(backend: str, source: Any) -> float:
    """Seconds of ``python -m inference.predict`` on one clip, from the call to its end.

    Args:
        backend: With its default checkpoint.
        source: Path of an audio file, or its bytes.

    Raises:
        UserError: If the command fails.
    """
    with tempfile.TemporaryDirectory(prefix="spoken-digits-") as scratch:
        path = Path(scratch) / "clip"
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            path = Path(source)
        command = [sys.executable, "-m", "inference.predict", "--backend", backend, str(path)]
        start = time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode:
        raise UserError(f"{' '.join(command[1:])} failed: {done.stderr.strip()}")
    return seconds
