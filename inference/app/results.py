"""The newest benchmark run of a results folder, as the page shows it."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What there is to show of one run.

    Attributes:
        name: Its folder's name.
        summary: Tables and notes in Markdown, without the pictures.
        pictures: PNG files, sorted by name.
    """

    name: str
    summary: str
    pictures: tuple[Path, ...]


def newest_run(folder: Path) -> Run | None:
    """The run with the latest id below a folder; None if there is none that is whole."""
    runs = []
    for path in folder.glob("*/run.json"):
        try:
            run_id = json.loads(path.read_text(encoding="utf-8"))["run"]
            summary = (path.parent / "summary.md").read_text(encoding="utf-8")
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half a run is no run to show
        # Its links lead nowhere from a page; the pictures are shown below it.
        summary = "\n".join(line for line in summary.splitlines() if not line.startswith("!["))
        pictures = tuple(sorted(path.parent.glob("plots/*.png")))
        runs.append((str(run_id), Run(path.parent.name, summary, pictures)))
    return max(runs, key=lambda pair: pair[0])[1] if runs else None
