"""How much room a backend takes: a fresh process that loads it, answers a few clips and is asked.

This is also the first time a run meets a backend, so missing packages and weights show here, and
what has to be fetched is fetched here and not inside a timed load.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.backend_process import BackendProcess
from benchmarks.clip_store import StoredClip, longest
from benchmarks.protocol import Candidate, Settings, stratified_subset

#: Calls before the peak is read: enough for buffers that grow with use, and the longest clip.
CALLS = 10


@dataclass(frozen=True)
class Footprint:
    """Three sizes of one backend.

    Attributes:
        parameters: Stored values of the model, None where the backend cannot count them.
        checkpoint_bytes: Bytes on disk of the files that must be shipped.
        peak_rss_bytes: Peak resident memory of the process, None where the system hides it.
        zero_shot: Whether the backend saw no training clip of the task.
    """

    parameters: int | None
    checkpoint_bytes: int
    peak_rss_bytes: int | None
    zero_shot: bool


def measure_footprint(
    candidate: Candidate, clips: Sequence[StoredClip], clips_path: Path, settings: Settings
) -> Footprint:
    """Loads a backend in a fresh process, predicts a few clips and reads the peak of its memory.

    Raises:
        BackendUnavailable: If a package or weights are missing.
        BackendFailure: If it raises, crashes or hangs.
    """
    with BackendProcess(candidate, settings, clips_path) as process:
        loaded = process.load()
        for clip in [longest(clips), *stratified_subset(clips, CALLS - 1)]:
            process.predict(clip)
        return Footprint(
            parameters=loaded["parameters"],
            checkpoint_bytes=loaded["checkpoint_bytes"],
            peak_rss_bytes=process.peak_rss_bytes(),
            zero_shot=loaded["zero_shot"],
        )
