"""Labelled streams: clips at one level, with pauses between them and noise over all."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.live.scoring import Label
from inference.audio import SAMPLING_RATE, rms_dbfs

SPEECH_DBFS = -23.0
GAP_SECONDS = (0.25, 2.0)
EDGE_SECONDS = 1.0
#: Quieter than this below its loudest frame, a clip is over for the ear.
END_RANGE_DB = 35.0
FRAME = SAMPLING_RATE // 100


@dataclass(frozen=True, eq=False)
class LabelledStream:
    """A waveform at 16 kHz and what is said in it; labels are in order and do not overlap."""

    waveform: np.ndarray
    labels: list[Label]


def build_stream(
    clips: Iterable[tuple[str, np.ndarray]],
    snr_db: float,
    seconds: float,
    seed: int,
    gap_seconds: tuple[float, float] = GAP_SECONDS,
) -> LabelledStream:
    """Lays clips one after the other with random pauses, in white noise.

    Args:
        snr_db: Level of a word above the noise.
        seconds: The stream ends with the clip that reaches this duration.
        seed: Decides pauses and noise.
        gap_seconds: Shortest and longest pause, between the words proper: silence at the ends of a clip
            is cut off.
    """
    generator = np.random.default_rng(seed)
    parts = [np.zeros(round(EDGE_SECONDS * SAMPLING_RATE), np.float32)]
    labels: list[Label] = []
    position = parts[0].size
    for label, clip in clips:
        if position >= seconds * SAMPLING_RATE:
            break
        word = trim(clip)
        word = word * np.float32(10 ** ((SPEECH_DBFS - rms_dbfs(word)) / 20))
        labels.append(Label(position, position + word.size, label))
        gap = np.zeros(round(generator.uniform(*gap_seconds) * SAMPLING_RATE), np.float32)
        parts += [word, gap]
        position += word.size + gap.size
    parts.append(parts[0])
    waveform = np.concatenate(parts)
    waveform += 10 ** ((SPEECH_DBFS - snr_db) / 20) * generator.standard_normal(waveform.size).astype(
        np.float32
    )
    return LabelledStream(np.clip(waveform, -1.0, 1.0), labels)


def trim(clip: np.ndarray) -> np.ndarray:
    """The clip from its first to its last frame of 10 ms within ``END_RANGE_DB`` of the loudest."""
    frames = clip[: clip.size // FRAME * FRAME].reshape(-1, FRAME)
    energy = np.mean(np.square(frames, dtype=np.float64), axis=1)
    heard = np.flatnonzero(energy >= energy.max() * 10 ** (-END_RANGE_DB / 10))
    return clip[heard[0] * FRAME : (heard[-1] + 1) * FRAME]


def locate(part: np.ndarray, whole: np.ndarray) -> int:
    """The sample of ``whole`` at which ``part`` fits best, by cross-correlation."""
    from scipy.signal import correlate

    return int(np.argmax(correlate(whole, part, mode="valid", method="fft")))
