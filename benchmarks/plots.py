"""Pictures of a run, drawn from ``summary.csv`` alone."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

#: Colours that stay apart for colour-blind readers (M. Okabe and K. Ito, Color Universal Design, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PICTURE = "accuracy_latency.svg"
NEEDED = ["accuracy", "accuracy_low", "accuracy_high", "latency_p50_ms", "checkpoint_bytes"]
#: Area of a disc in square points: so much per megabyte, but the largest no larger than this.
AREA_PER_MB = 8.0
MAX_AREA = 1500.0


def plot_accuracy_latency(summary_csv: Path, folder: Path) -> list[str]:
    """Draws accuracy against latency, the size on disk as area, as SVG and PNG.

    Args:
        summary_csv: The summary of a run.
        folder: Where the pictures go.

    Returns:
        Paths of the pictures for the report, relative to the summary; empty if no backend has all
        the figures.
    """
    for suffix in (".svg", ".png"):  # A picture of an earlier run in this folder would be a lie.
        (folder / PICTURE).with_suffix(suffix).unlink(missing_ok=True)
    frame = pd.read_csv(summary_csv)
    rows = frame.dropna(subset=NEEDED)
    if rows.empty:
        return []
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    area_per_mb = min(AREA_PER_MB, MAX_AREA / (rows["checkpoint_bytes"].max() / 1e6))
    for colour, (_, row) in zip(np.resize(COLOURS, len(rows)), rows.iterrows(), strict=True):
        megabytes = row["checkpoint_bytes"] / 1e6
        accuracy = 100 * row["accuracy"]
        bounds = 100 * row[["accuracy_low", "accuracy_high"]].to_numpy(dtype=float)
        axes.scatter(
            row["latency_p50_ms"], accuracy, area_per_mb * megabytes, color=colour, alpha=0.4, linewidths=0
        )
        axes.errorbar(
            row["latency_p50_ms"],
            accuracy,
            yerr=np.abs(bounds - accuracy)[:, np.newaxis],
            color=colour,
            marker="o",
            markersize=4,
            capsize=3,
        )
        axes.annotate(
            f"{row['backend']}\n{megabytes:.1f} MB" + ("" if pd.isna(row["flags"]) else f"\n{row['flags']}"),
            (row["latency_p50_ms"], bounds[0]),
            xytext=(0, -5),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="top",
            fontsize="small",
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(LogFormatter())
    axes.margins(x=0.2, y=0.2)
    axes.set_xlabel("latency p50 in ms per clip (logarithmic)")
    axes.set_ylabel("accuracy in % with 95 % interval")
    axes.set_title(_title(rows), fontsize="medium", loc="left")
    axes.grid(visible=True, which="both", alpha=0.25)
    missing = frame.loc[~frame.index.isin(rows.index), "backend"].tolist()
    if missing:
        figure.supxlabel(f"not drawn, a figure is missing: {', '.join(missing)}", fontsize="small")
    return _save(figure, folder)


def _title(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"{first['dataset']}, {first['protocol']}, {first['n']:.0f} clips; area: size on disk"


def _save(figure: Figure, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    # No date and fixed ids: the same figures give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "spoken-digits", "svg.fonttype": "none"}):
        figure.savefig(folder / PICTURE, metadata={"Date": None})
    figure.savefig((folder / PICTURE).with_suffix(".png"), dpi=150)
    return [f"{folder.name}/{PICTURE}"]
