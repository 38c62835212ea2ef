"""Test clips, decoded once and kept as raw float32 samples in one file that every worker reads.

Workers therefore import nothing but their backend: neither the decoder nor its libraries count in
a backend's load time or memory, and decoding is never inside a timed region. Only where a clip lies
is kept in memory, so a corpus may be larger than that.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.records.measurements import Corruption
from inference.audio import SAMPLING_RATE, rms_dbfs, waveform_hash
from inference.vocabulary import REJECT_LABEL

if TYPE_CHECKING:  # Workers read the store without the corpus.
    from finetune.corpus.clip import Clip


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A decoded clip and where its samples lie.

    Attributes:
        label: The digit spoken; None for a sound that is no digit.
        first_sample: Position of its first sample in the file.
        rms_dbfs: Its level; None for digital silence.
        pcm_sha: Hash of its samples, so that equal audio under two names is noticed.
        corruption: What a condition of the robustness phase did to it.
    """

    clip_id: str
    label: str | None
    speaker: str
    store: str
    first_sample: int
    num_samples: int
    rms_dbfs: float | None
    pcm_sha: str
    corruption: Corruption | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / SAMPLING_RATE


class StoreWriter:
    """Appends waveforms to a file of float32 samples; as a context manager it also closes it."""

    def __init__(self, path: Path):
        self._path = str(path)
        self._samples = path.open("wb")
        self._position = 0

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._samples.close()

    def add(
        self,
        waveform: np.ndarray,
        clip_id: str,
        label: str | None,
        speaker: str,
        corruption: Corruption | None = None,
    ) -> StoredClip:
        """Stores a waveform of shape ``(num_samples,)``."""
        self._samples.write(np.ascontiguousarray(waveform, dtype=np.float32).tobytes())
        level = rms_dbfs(waveform)
        clip = StoredClip(
            clip_id=clip_id,
            label=label,
            speaker=speaker,
            store=self._path,
            first_sample=self._position,
            num_samples=waveform.size,
            rms_dbfs=round(level, 2) if math.isfinite(level) else None,
            pcm_sha=waveform_hash(waveform),
            corruption=corruption,
        )
        self._position += waveform.size
        return clip


def store_clips(clips: Iterable["Clip"], path: Path) -> list[StoredClip]:
    """Decodes clips one after another into one file of float32 samples.

    Raises:
        AudioError: If a clip cannot be decoded; a benchmark that skipped it would not say so.
    """
    with StoreWriter(path) as store:
        return [
            store.add(
                clip.waveform(),
                clip.clip_id,
                None if clip.label == REJECT_LABEL else clip.label,
                clip.speaker,
            )
            for clip in clips
        ]


def read_waveform(path: Path, first_sample: int, num_samples: int) -> np.ndarray:
    """Reads one stored clip, shape ``(num_samples,)``.

    The file is read, not memory-mapped: mapped pages would count in the peak memory of the reader.
    """
    offset = first_sample * np.dtype(np.float32).itemsize
    return np.fromfile(path, dtype=np.float32, count=num_samples, offset=offset)
