"""The accuracy pass: a backend answers every test clip once; one record per clip."""

from collections.abc import Callable, Iterable

from benchmarks.backend_process import BackendFailure, BackendProcess
from benchmarks.clip_store import StoredClip
from benchmarks.records import Record


def answer_clips(
    process: BackendProcess, backend: str, clips: Iterable[StoredClip], write: Callable[[Record], None]
) -> None:
    """Asks a loaded backend about every clip.

    The raw hypothesis is kept, so that text is mapped to a digit again whenever a report is made.
    The times are for information: the latency figures come from interleaved rounds.

    Args:
        process: The backend.
        backend: Its name.
        clips: What to ask, in this order.
        write: Receives one record per clip; the last one holds the failure, if there is one.

    Raises:
        BackendFailure: At the first clip without a proper answer.
    """
    for clip in clips:
        record: Record = {
            "backend": backend,
            "clip": clip.clip_id,
            "pcm_sha": clip.pcm_sha,
            "speaker": clip.speaker,
            "reference": clip.label,
            "duration_s": clip.duration_s,
            "rms_dbfs": clip.rms_dbfs,
        }
        try:
            answer = process.predict(clip)
        except BackendFailure as failure:
            write({**record, "status": failure.kind, "error": str(failure)})
            raise
        write(
            {
                **record,
                "status": "ok",
                "label": answer["label"],
                "score": answer["score"],
                "probabilities": answer["probabilities"],
                "hypothesis": answer["hypothesis"],
                "reason": answer["reason"],
                "timing": "informational",
                "t_ns": {"e2e": answer["elapsed_ns"], "cpu": answer["cpu_ns"]},
            }
        )
