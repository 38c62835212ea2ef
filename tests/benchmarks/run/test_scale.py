"""A corpus larger than memory: what a run holds does not grow with the audio."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.records.files import read_run
from tests.conftest import PROJECT

MEASURE = """
import sys
from benchmarks.worker.resident_memory import resident_bytes
from benchmarks.run.__main__ import main
from inference.backends.table import BACKENDS
from tests.benchmarks.fakes import fake_spec
BACKENDS["constant"] = fake_spec("Constant")
code = main(sys.argv[1:])
print(resident_bytes()["peak_rss_bytes"] or 0)
raise SystemExit(code)
"""


def peak_bytes(folder: Path, out: Path) -> int:
    """Peak memory of the parent of a run over a corpus."""
    options = ["--backends", "constant", "--dataset", str(folder), "--out", str(out), "--phases", "accuracy"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *options],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def write_corpus(folder: Path, num_clips: int) -> Path:
    """Clips of half a second of noise, all of them in the official test."""
    folder.mkdir()
    for number in range(num_clips):
        speaker, rest = divmod(number, 50)
        samples = np.random.default_rng(number).normal(scale=0.05, size=4000)
        soundfile.write(folder / f"{rest // 5}_s{speaker}_{rest % 5}.wav", samples, 8000, subtype="PCM_16")
    # A little to learn from, which every protocol asks for.
    for digit in range(10):
        for take in (5, 6):
            soundfile.write(
                folder / f"{digit}_s0_{take}.wav", np.full(4000, 0.01 * digit + 0.001 * take), 8000
            )
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_stays_flat_from_300_to_30000_clips(tmp_path: Path) -> None:
    peaks = {}
    for num_clips in (300, 30_000):
        folder = write_corpus(tmp_path / f"corpus-{num_clips}", num_clips)
        peaks[num_clips] = peak_bytes(folder, tmp_path / f"out-{num_clips}")
        assert sum(1 for _ in read_run(tmp_path / f"out-{num_clips}").answers()) == num_clips
    audio_bytes = 30_000 * 8000 * 4
    print(f"peak memory in MB: { ({n: round(peak / 1e6) for n, peak in peaks.items()}) }")
    assert peaks[30_000] - peaks[300] < 0.1 * audio_bytes
