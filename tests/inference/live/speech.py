"""Sounds for the detectors: espeak-ng's voice and white noise."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from inference.audio import decode_audio


def spoken(text: str, folder: Path) -> np.ndarray:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed (apt-get install espeak-ng)")
    path = folder / f"{text}.wav"
    subprocess.run(["espeak-ng", "-v", "en", "-w", str(path), text], check=True)
    return decode_audio(path)


def noise(num_samples: int, dbfs: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (10 ** (dbfs / 20) * rng.standard_normal(num_samples)).astype(np.float32)
