"""``--mic-check``: listens for a few seconds and says whether the microphone will do."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from inference.audio import rms_dbfs
from inference.live.engine.voice_activity import SILENCE_DBFS
from inference.live.source.items import Block, Opening, Source

CHECK_SECONDS = 3.0
FRAME_SECONDS = 0.03
#: A sample this large is taken as clipped.
CLIPPED = 0.999


@dataclass(frozen=True)
class MicrophoneCheck:
    """What was measured over the whole check; levels in dB relative to full scale."""

    peak_dbfs: float
    rms_dbfs: float
    noise_dbfs: float
    clipped_share: float
    dc_offset: float

    @property
    def verdict(self) -> str | None:
        """What is wrong and what to do about it, None if the microphone will do."""
        if self.peak_dbfs <= SILENCE_DBFS:
            return "nothing but zeros: the microphone is muted or blocked; check its switch and permissions."
        if self.clipped_share > 0.001:
            return "too loud: lower the microphone's level or move away from it."
        if abs(self.dc_offset) > 0.05:
            return "a constant offset lies under the sound: a faulty microphone or cable; try another."
        if self.peak_dbfs < -40.0:
            return "too quiet: raise the microphone's level, or come closer and speak up."
        if self.peak_dbfs - self.noise_dbfs < 20.0:
            return "speech hardly stands out from the noise: come closer and speak up."
        return None


def describe_check(check: MicrophoneCheck) -> str:
    """Two lines for people: the figures, and what follows."""
    return (
        f"peak {check.peak_dbfs:.1f} dBFS, RMS {check.rms_dbfs:.1f} dBFS, noise floor "
        f"{check.noise_dbfs:.1f} dBFS, clipped {100 * check.clipped_share:.2f} %, DC {check.dc_offset:+.4f}\n"
        f"{check.verdict or 'good: the microphone will do.'}"
    )


def measure(waveform: np.ndarray, sampling_rate: int) -> MicrophoneCheck:
    """Measures a few seconds of a microphone; ``waveform`` has shape ``(num_samples,)``."""
    size = round(FRAME_SECONDS * sampling_rate)
    frames = waveform[: waveform.size // size * size].reshape(-1, size)
    levels = [max(rms_dbfs(frame), SILENCE_DBFS) for frame in frames]
    peak = float(np.abs(waveform).max())
    return MicrophoneCheck(
        peak_dbfs=max(20.0 * float(np.log10(peak)), SILENCE_DBFS) if peak else SILENCE_DBFS,
        rms_dbfs=max(rms_dbfs(waveform), SILENCE_DBFS),
        noise_dbfs=float(np.percentile(levels, 10)),
        clipped_share=float(np.mean(np.abs(waveform) >= CLIPPED)),
        dc_offset=float(waveform.mean()),
    )


def check_microphone(source: Source) -> MicrophoneCheck:
    """Listens for ``CHECK_SECONDS`` with a level bar on stderr.

    Raises:
        MicrophoneError: If the source cannot be opened.
    """
    stream = source.stream()
    try:
        waveform, sampling_rate = _listen(stream)
    finally:
        stream.close()
    return measure(waveform, sampling_rate)


def _listen(items: Iterable[object]) -> tuple[np.ndarray, int]:
    blocks: list[np.ndarray] = []
    sampling_rate = heard = 0
    for item in items:
        if isinstance(item, Opening):
            sampling_rate = item.sampling_rate
            sys.stderr.write(
                f"{item.name} at {sampling_rate} Hz: say a few digits for {CHECK_SECONDS:.0f} seconds\n"
            )
        elif isinstance(item, Block):
            blocks.append(item.waveform)
            heard += item.waveform.size
            if sys.stderr.isatty():
                share = (max(rms_dbfs(item.waveform), -60.0) + 60.0) / 60.0
                sys.stderr.write(f"\r[{'#' * round(40 * share):40}]")
            if heard >= CHECK_SECONDS * sampling_rate:
                break
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return np.concatenate(blocks), sampling_rate
