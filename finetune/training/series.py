"""Several runs by one command: every fold, several seeds, a grid of options.

A series turns a way of training one model into a way of training several, so series nest: a grid
inside each fold inside each seed. Runs that are finished are not repeated.
"""

import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from finetune.checkpoint.writer import FIGURES_NAME, claim_folder
from finetune.corpus.clip import Corpus
from finetune.training.folds import FoldTable, run_folds
from inference.backends.table import CARD_NAME
from inference.files import read_json, write_json, write_text

#: Trains with further options into a folder, which then holds ``figures.json``.
Fit = Callable[[Sequence[str], Path], None]


@dataclass(frozen=True)
class Series:
    """What all runs of a series have in common.

    Attributes:
        command: What was typed, for the tables.
        settings: The options that change the outcome; runs of other settings do not mix.
    """

    command: str
    settings: dict[str, Any]

    def claim(self, options: Sequence[str], folder: Path) -> None:
        """Refuses a folder with finished runs of other settings."""
        folder.mkdir(parents=True, exist_ok=True)
        claim_folder(folder, self.claimed(options), work=f"**/{CARD_NAME}")

    def claimed(self, options: Sequence[str]) -> dict[str, Any]:
        """The settings and what the surrounding series added to them."""
        return {**self.settings, "options": list(options)}


def over_folds(fit: Fit, corpus: Corpus, series: Series) -> Fit:
    """Holds out each speaker in turn; ``loso.md`` is the table."""

    def fit_folds(options: Sequence[str], folder: Path) -> None:
        table = run_folds(
            corpus,
            folder,
            series.claimed(options),
            series.command,
            lambda speaker, fold_folder: fit((*options, "--fold", speaker), fold_folder),
        )
        write_json(folder / FIGURES_NAME, _figures_of_folds(table))

    return fit_folds


def over_seeds(fit: Fit, seeds: Sequence[int], series: Series) -> Fit:
    """Trains with each seed; ``seeds.md`` holds mean and spread."""

    def fit_seeds(options: Sequence[str], folder: Path) -> None:
        series.claim(options, folder)
        figures = {}
        for seed in seeds:
            fit_unless_done(fit, (*options, "--seed", str(seed)), folder / f"seed-{seed}")
            figures[seed] = read_json(folder / f"seed-{seed}" / FIGURES_NAME)
        names = [name for name in figures[seeds[0]] if name.endswith(("accuracy", "f1"))]
        rows = [[f"seed {seed}", *(f"{figures[seed][name]:.4f}" for name in names)] for seed in seeds]
        columns = {name: [figures[seed][name] for seed in seeds] for name in names}
        rows.append(["mean", *(f"{mean(values):.4f}" for values in columns.values())])
        if len(seeds) > 1:
            rows.append(["standard deviation", *(f"{stdev(values):.4f}" for values in columns.values())])
        _write_table(folder / "seeds", ["", *names], rows, {"seeds": figures}, series.command)
        write_json(folder / FIGURES_NAME, {name: mean(values) for name, values in columns.items()})

    return fit_seeds


def over_grid(fit: Fit, axes: Mapping[str, Sequence[str]], series: Series) -> Fit:
    """Tries every combination and keeps the checkpoint of the best validation accuracy.

    Args:
        fit: Trains one point of the grid.
        axes: Option -> values to try.
        series: What the points have in common; ``grid.md`` is the table.
    """

    def fit_points(options: Sequence[str], folder: Path) -> None:
        series.claim(options, folder)
        figures = {}
        for values in itertools.product(*axes.values()):
            point = list(zip(axes, values, strict=True))
            name = ",".join(f"{option}={value}" for option, value in point)
            words = [word for option, value in point for word in (f"--{option}", value)]
            fit_unless_done(fit, (*options, *words), folder / name)
            figures[name] = read_json(folder / name / FIGURES_NAME)
        # Of equal points the first: the grid's order is the user's preference.
        best = max(figures, key=lambda name: figures[name]["validation_accuracy"])
        rows = [
            [name + (" (chosen)" if name == best else ""), f"{values['validation_accuracy']:.4f}"]
            for name, values in figures.items()
        ]
        content = {"chosen": best, "points": figures}
        _write_table(folder / "grid", ["", "validation_accuracy"], rows, content, series.command)
        # The card last: its presence says that the folder is a finished checkpoint.
        files = [path for path in (folder / best).iterdir() if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == CARD_NAME):
            shutil.copy(path, folder)

    return fit_points


def fit_unless_done(fit: Fit, options: Sequence[str], folder: Path) -> None:
    """Trains where no finished checkpoint or series lies."""
    if not (folder / CARD_NAME).is_file():
        fit(options, folder)


def _figures_of_folds(table: FoldTable) -> dict[str, float]:
    return {"mean_accuracy": table.mean, "worst_accuracy": table.accuracy[table.worst]}


def _write_table(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], content: dict, command: str
) -> None:
    """Writes ``path.json`` and ``path.md``."""
    write_json(path.with_suffix(".json"), {"command": command, **content})
    lines = [" | ".join(row) for row in (header, ["---"] * len(header), *rows)]
    table = "\n".join(f"| {line} |" for line in lines)
    write_text(path.with_suffix(".md"), f"{table}\n\n```\n{command}\n```\n")
