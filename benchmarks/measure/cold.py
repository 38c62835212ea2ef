"""Cold start: fresh processes, from nothing to the first answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.run.entries import Row
from benchmarks.run.records import Record
from benchmarks.run.settings import Settings
from benchmarks.worker.client import BackendFailure, BackendProcess, BackendUnavailable
from benchmarks.worker.waveform_file import StoredClip


def time_cold_starts(
    rows: Sequence[Row],
    clip: StoredClip,
    settings: Settings,
    write: Callable[[Record], None],
    progress: Callable[[Sequence[tuple[int, Row]]], Iterable[tuple[int, Row]]] = iter,
) -> Mapping[str, BackendFailure]:
    """Starts every backend several times, in turn, so that all of them meet the same machine.

    The page cache is warm: the files were read before.

    Returns:
        The failures by row.
    """
    failures: dict[str, BackendFailure] = {}
    for repeat, row in progress([(repeat, row) for repeat in range(settings.cold_starts) for row in rows]):
        if row.name in failures:
            continue
        try:
            write({"backend": row.name, "repeat": repeat, "seconds": cold_start(row, clip, settings)})
        except BackendFailure as failure:
            failures[row.name] = failure
        except BackendUnavailable as missing:
            failures[row.name] = BackendFailure("refused", str(missing))
    return failures


def cold_start(row: Row, clip: StoredClip, settings: Settings) -> dict[str, float]:
    """Seconds of each step of one start."""
    with BackendProcess(row, settings, offline=True) as process:
        started_ns = process.start()["started_ns"]
        imported_ns = process.import_libraries()["at_ns"]
        loaded_ns = process.load()["at_ns"]
        answered_ns = process.predict(clip)["at_ns"]
        moments = [process.asked_for_ns, started_ns, imported_ns, loaded_ns, answered_ns]
    steps = ("interpreter", "imports", "load", "first_prediction")
    seconds = {
        step: (after - before) / 1e9 for step, before, after in zip(steps, moments, moments[1:], strict=False)
    }
    return seconds | {"total": (answered_ns - moments[0]) / 1e9}
