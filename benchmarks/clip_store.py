"""Test clips, decoded once and kept as raw float32 samples in one file that every worker reads.

Workers therefore import nothing but their backend: neither the decoder nor its libraries count in
a backend's load time or memory, and decoding is never inside a timed region.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from inference.audio import SAMPLING_RATE, rms_dbfs

if TYPE_CHECKING:  # Workers read the store without the corpus.
    from finetune.corpus import Clip


@dataclass(frozen=True)
class StoredClip:
    """A decoded clip and where its samples lie.

    Attributes:
        clip_id: Its name in the corpus.
        label: The digit spoken.
        speaker: Who spoke it.
        first_sample: Position of its first sample in the file.
        num_samples: Its length.
        rms_dbfs: Its level; None for digital silence.
        pcm_sha: Hash of its samples, so that equal audio under two names is noticed.
    """

    clip_id: str
    label: str
    speaker: str
    first_sample: int
    num_samples: int
    rms_dbfs: float | None
    pcm_sha: str

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / SAMPLING_RATE


def store_clips(clips: Iterable["Clip"], path: Path) -> list[StoredClip]:
    """Decodes clips one after another into one file of float32 samples.

    Args:
        clips: What to decode.
        path: The file to write.

    Raises:
        AudioError: If a clip cannot be decoded; a benchmark that skipped it would not say so.
    """
    stored = []
    position = 0
    with path.open("wb") as samples:
        for clip in clips:
            waveform = np.ascontiguousarray(clip.waveform(), dtype=np.float32)
            content = waveform.tobytes()
            samples.write(content)
            level = rms_dbfs(waveform)
            stored.append(
                StoredClip(
                    clip_id=clip.clip_id,
                    label=clip.label,
                    speaker=clip.speaker,
                    first_sample=position,
                    num_samples=waveform.size,
                    rms_dbfs=round(level, 2) if math.isfinite(level) else None,
                    pcm_sha=hashlib.sha256(content).hexdigest()[:16],
                )
            )
            position += waveform.size
    return stored


def read_waveform(path: Path, first_sample: int, num_samples: int) -> np.ndarray:
    """Reads one stored clip, shape ``(num_samples,)``.

    The file is read, not memory-mapped: mapped pages would count in the peak memory of the reader.
    """
    offset = first_sample * np.dtype(np.float32).itemsize
    return np.fromfile(path, dtype=np.float32, count=num_samples, offset=offset)


def longest(clips: Sequence[StoredClip]) -> StoredClip:
    """The clip with the most samples; the first of them in a tie."""
    return max(clips, key=lambda clip: clip.num_samples)
