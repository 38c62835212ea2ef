"""The parts of a measurement on disk: the figures of each, and where they were measured."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.live.figures import Figure, figure_table
from inference.files import read_json, write_json

FIGURES_FILE = "figures.json"

NOTE = (
    "Microphone: a PulseAudio null sink at 16 kHz, so that the server leaves the samples as they are. "
    "Stream: test clips in white noise at 20 dB SNR, pauses of 0.25 to 2 s. The end of speech is that of "
    "the file played, and the hangover is part of the delay. Accuracy of the clips: without noise. "
    "Strangers: one word each of people whom no model heard, pauses of 0.2 to 0.6 s, 30 dB SNR. Speech: "
    "recordings of other words by people, one after the other, pauses of 0.2 to 0.6 s. n: values behind a "
    "figure. Bold: misses its target."
)


def read_parts(folder: Path) -> dict[str, Any]:
    """What was measured so far: part -> command, environment and figures.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = folder / FIGURES_FILE
    return dict(read_json(path)) if path.is_file() else {}


def write_part(folder: Path, part: str, figures: Sequence[Figure], command: str, environment: str) -> None:
    """Keeps the figures of a part, so that it need not be measured again.

    Args:
        folder: Where the parts lie.
        part: Its name.
        figures: What was measured.
        command: What to type for it.
        environment: One sentence on the machine.
    """
    content = {
        "command": command,
        "environment": environment,
        "figures": [dataclasses.asdict(figure) for figure in figures],
    }
    write_json(folder / FIGURES_FILE, read_parts(folder) | {part: content})


def summary(folder: Path, parts: Sequence[str]) -> tuple[str, list[Figure]]:
    """The tables of all parts that were measured, with their commands and machines.

    Args:
        folder: Where the parts lie.
        parts: Their names in the order of the table.
    """
    figures: list[Figure] = []
    tables: list[str] = []
    notes = []
    found = read_parts(folder)
    for part in filter(found.__contains__, parts):
        measured = [Figure(**values) for values in found[part]["figures"]]
        figures += measured
        tables += [*figure_table(measured), ""] if measured else []
        notes.append(f"- {part}: `{found[part]['command']}` on {found[part]['environment']}")
    return "\n".join([*tables, NOTE, "", *notes, ""]), figures
