"""Looks at a corpus before anything is trained on it.

    python -m finetune.corpus FOLDER --out runs/corpus

Prints a table of the labels, copies of recordings and labels that look wrong, and writes ``clips.csv`` and
pictures.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.corpus.loading import DATASET_HELP, load_corpus, use_labels_of
from inference.command_line import EXIT_OK, CommandLineParser, path_argument, reports_user_errors
from inference.errors import CorpusError
from inference.files import write_text
from inference.vocabulary import add_vocabulary_argument, vocabulary

if TYPE_CHECKING:
    import pandas as pd

#: Clips of each kind that are named on the screen; ``clips.csv`` names all.
MAX_NAMED = 12


def build_parser() -> argparse.ArgumentParser:
    """The command line of this entry point."""
    parser = CommandLineParser(prog="python -m finetune.corpus", description="Looks at a corpus.")
    parser.add_argument("dataset", metavar="DATASET", help=DATASET_HELP)
    add_vocabulary_argument(parser)
    parser.add_argument(
        "--out",
        type=path_argument,
        default=Path("runs/corpus"),
        help="folder to write (default: runs/corpus)",
    )
    return parser


@reports_user_errors
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; exit code 0, or 2 after a user's mistake."""
    options = build_parser().parse_args(argv)
    # Imported here: --help need not wait for scikit-learn and matplotlib.
    from finetune.corpus.inspection import find_copies, find_label_errors, measure_clips
    from finetune.plots import draw_corpus, draw_labels

    use_labels_of(options.dataset)
    corpus = load_corpus(options.dataset)
    clips = {clip.clip_id: clip for clip in corpus.clips}
    table, statistics = measure_clips(corpus.clips)
    good = table[table["problem"] == ""]
    if good.empty:
        raise CorpusError(f"none of the {len(table)} clips can be read; the first: {table['problem'][0]}")
    good = find_label_errors(find_copies(good, statistics), statistics)
    options.out.mkdir(parents=True, exist_ok=True)
    everything = table[["clip"]].merge(good, how="left", on="clip").set_index("clip")
    everything.update(table.set_index("clip"))
    write_text(options.out / "clips.csv", everything.drop(columns="hash").to_csv())
    draw_corpus(good["seconds"], good["level_dbfs"], good["noise_dbfs"], options.out / "histograms.png")
    typical = {label: _median_clip(rows) for label, rows in good.groupby("label")}
    waveforms = {str(label): clips[name].waveform() for label, name in typical.items()}
    draw_labels(waveforms, options.out / "labels.png")
    sys.stdout.write(f"{corpus.description}\n\n{label_table(good)}\n\n")
    sys.stdout.writelines(f"{line}\n" for line in findings(table, good))
    sys.stdout.write(f"wrote {options.out}: clips.csv, histograms.png, labels.png\n")
    return EXIT_OK


def label_table(table: "pd.DataFrame") -> str:
    """One line for each label: how many clips of whom, how long, how loud, and how many are doubtful."""
    rows = table.assign(
        cut=table["cut_at_start"] | table["cut_at_end"],
        clipped=table["clipped_share"] > 0.0,
        copies=(table["copy_of"] != "") | (table["near"] != ""),
        doubtful=table["suggested_label"] != "",
    ).groupby("label")
    columns = rows.agg(
        clips=("clip", "size"),
        speakers=("speaker", "nunique"),
        shortest_s=("seconds", "min"),
        median_s=("seconds", "median"),
        longest_s=("seconds", "max"),
        level_dbfs=("level_dbfs", "median"),
        noise_dbfs=("noise_dbfs", "median"),
        clipped=("clipped", "sum"),
        cut=("cut", "sum"),
        copies=("copies", "sum"),
        doubtful=("doubtful", "sum"),
    )
    splits = table.groupby(["label", "split"]).size().unstack(fill_value=0)
    return str(columns.join(splits).round(2).to_string())


def findings(table: "pd.DataFrame", good: "pd.DataFrame") -> Iterator[str]:
    """What somebody should listen to, and what is missing, in sentences."""
    speakers = good["speaker"].value_counts()
    most = ", ".join(f"{name} {number}" for name, number in speakers[:3].items())
    yield f"{len(speakers)} speakers of {speakers.min()} to {speakers.max()} clips; most: {most}"
    rates = good["sampling_rate_hz"].value_counts()
    yield f"sampling rates: {', '.join(f'{rate:.0f} Hz {number}' for rate, number in rates.items())}"
    counts = good["label"].value_counts()
    for label in vocabulary().labels:
        if counts.get(label, 0) < 2:
            yield (
                f"label {label} has {counts.get(label, 0)} readable clips, and no model learns from that: "
                "record more, or leave it out of the vocabulary."
            )
    broken = table[table["problem"] != ""]
    yield from _named("cannot be read", broken["problem"])
    copies = good[good["copy_of"] != ""]
    yield from _named("are copies", copies["clip"] + " is " + copies["copy_of"])
    near = good[good["near"] != ""]
    yield from _named("sound like copies", near["clip"] + " and " + near["near"])
    wrong = good[good["suggested_label"] != ""].sort_values("label_probability")
    told = wrong["clip"] + " (" + wrong["label"] + ") sounds like " + wrong["suggested_label"]
    yield from _named("have a label that looks wrong, the most doubtful first; listen to them", told)


def _named(what: str, names: "pd.Series[str]") -> Iterator[str]:
    if len(names):
        yield f"{len(names)} clips {what}:"
        yield from (f"  {name}" for name in names[:MAX_NAMED])
    if len(names) > MAX_NAMED:
        yield f"  ... and {len(names) - MAX_NAMED} more, in clips.csv"


def _median_clip(rows: "pd.DataFrame") -> str:
    return str(rows.sort_values("seconds")["clip"].iloc[len(rows) // 2])


if __name__ == "__main__":
    sys.exit(main())
