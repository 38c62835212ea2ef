"""The phases that are no timing: the first acquaintance with every row, and all its answers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.measure.answers import Unit, answer_files, answer_row, failures_in, is_given_up, open_tasks
from benchmarks.measure.footprint import FEW_CALLS, measure_footprint
from benchmarks.run.content_hashes import weights_hash
from benchmarks.run.inputs import say
from benchmarks.run.processes import Crew
from benchmarks.run.records import Record
from benchmarks.run.settings import Settings
from benchmarks.run.status import Outcome
from benchmarks.worker.client import BackendFailure
from benchmarks.worker.waveform_file import StoredClip


def weigh(
    outcomes: Sequence[Outcome],
    clips: Sequence[StoredClip],
    settings: Settings,
    phases: Sequence[str],
    known: Mapping[str, Record],
    write: Callable[[Record], object],
) -> list[Record]:
    """Meets every row for the first time: size, memory, and how long a call takes.

    Args:
        outcomes: One per row; those that cannot run end here.
        clips: What to draw from.
        settings: Threads and time limits.
        phases: Memory is read over fewer calls if it is not among them.
        known: Row -> record of an earlier start of this run.
        write: Receives every new record.

    Returns:
        One record of ``footprint.jsonl`` per row that can run.
    """
    num_calls = settings.memory_calls if "memory" in phases else FEW_CALLS
    records = []
    for outcome in outcomes:
        if outcome.name in known:
            records.append(known[outcome.name])
            continue
        say(f"{outcome.name}: size and memory")
        with outcome.noting_failures("memory"):
            record = measure_footprint(outcome.row, clips, settings, num_calls)
            records.append(record | {"weights": weights_hash(outcome.row)})
            write(records[-1])
    return records


def answer_all(
    outcomes: Sequence[Outcome], units: Sequence[Unit], results: Path, settings: Settings, crew: Crew
) -> None:
    """Asks every row all that is open, this process its share of it.

    Args:
        outcomes: One per row; those that fail end here.
        units: All that is asked in this run.
        results: The result folder.
        settings: Threads and time limits.
        crew: The processes that share the work.
    """
    from tqdm import tqdm

    files = answer_files(units, results)
    tasks = open_tasks(files, crew.share)
    # Nobody may answer before everybody has seen what is missing.
    crew.wait()
    for outcome in outcomes:
        own = [task for task in tasks if task.unit.row.name == outcome.name]
        earlier = [
            record
            for file in files.values()
            if file.units[0].row.name == outcome.name
            for record in file.failed
        ]
        if not outcome.alive or not own or is_given_up(earlier):
            continue
        number = sum(len(task.clip_ids) for task in own)
        say(f"{outcome.name}: {number} answers")
        with (
            outcome.noting_failures("accuracy"),
            tqdm(total=number, unit="clip", leave=False, disable=None) as bar,
        ):
            answer_row(own, earlier, results, crew.rank, settings, bar.update)
    crew.wait()


def collect_answers(outcomes: Sequence[Outcome], units: Sequence[Unit], results: Path) -> None:
    """Merges the answers of all processes and ends the rows that failed on too many clips."""
    for file in answer_files(units, results).values():
        file.merge()
        outcome = next(outcome for outcome in outcomes if outcome.name == file.units[0].row.name)
        failed = list(failures_in(file.failed))
        if outcome.alive and failed and any(file.missing(unit) for unit in file.units):
            outcome.fail(failed[-1]["phase"], BackendFailure(failed[-1]["kind"], failed[-1]["reason"]))
            outcome.failures.pop()  # It is among those of the clips.
        outcome.failures += failed
