"""Pictures of a run, drawn from ``summary.csv`` alone."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

#: Colours that stay apart for colour-blind readers (M. Okabe and K. Ito, Color Universal Design, 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PICTURE = "accuracy_latency.svg"
NEEDED = ["accuracy", "accuracy_low", "accuracy_high", "latency_p50_ms", "checkpoint_bytes"]
#: Area of a disc in square points per megabyte; smaller than MIN_AREA would not be seen.
AREA_PER_MB = 8.0
MIN_AREA = 30.0
MAX_AREA = 4000.0


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
    for colour, (_, row) in zip(np.resize(COLOURS, len(rows)), rows.iterrows(), strict=True):
        megabytes = row["checkpoint_bytes"] / 1e6
        accuracy = 100 * row["accuracy"]
        bounds = 100 * row[["accuracy_low", "accuracy_high"]].to_numpy(dtype=float)
        axes.errorbar(
            row["latency_p50_ms"],
            accuracy,
            yerr=np.abs(bounds - accuracy)[:, np.newaxis],
            color=colour,
            capsize=3,
        )
        area = float(np.clip(AREA_PER_MB * megabytes, MIN_AREA, MAX_AREA))
        axes.scatter(row["latency_p50_ms"], accuracy, s=area, color=colour, alpha=0.6, linewidths=0)
        axes.annotate(
            f"{row['backend']}, {megabytes:.1f} MB",
            (row["latency_p50_ms"], accuracy),
            xytext=(8, -16),
            textcoords="offset points",
        )
    axes.set_xscale("log")
    axes.margins(x=0.25)
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
