"""The pictures of a report, drawn from its tables: the same records give the same bytes."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogFormatter

from benchmarks.reports.noise_tables import SNR_FAMILIES
from benchmarks.reports.picture import COLOURS, Picture, add_legend, new_figure, panels, styles
from benchmarks.reports.report_tables import Report
from benchmarks.reports.scores import NONE, headline_protocol
from benchmarks.reports.table import percent
from benchmarks.reports.unheard import FALSE_ACCEPT_SHARES
from inference.vocabulary import vocabulary

#: Area of a disc in square points: so much per megabyte, but the largest no larger than this.
AREA_PER_MB = 8.0
MAX_AREA = 1500.0
#: Right end of the curve of false accepts, and bins of confidence.
MOST_FALSE_ACCEPTS = 0.2
NUM_BINS = 10
NEEDED = ["accuracy", "accuracy_low", "accuracy_high", "cost_ms", "opened_bytes"]


def draw(report: Report) -> list[Picture]:
    """All pictures that the records carry."""
    drawn = [
        unheard_curves(report),
        reliability(report),
        accuracy_latency(report),
        confusions(report),
        snr_curves(report),
    ]
    return [picture for picture in drawn if picture is not None]


def unheard_curves(report: Report) -> Picture | None:
    """Words right and shown against other words shown; filled: where each backend's own threshold stands."""
    scored = {name: found for name, found in report.unheard.items() if found.has_scores}
    if not scored:
        return None
    figure = new_figure(report.watermark, height=5.0)
    axes = figure.add_subplot()
    style = _styles(report)
    own = report.tables["unheard"].frame.set_index("backend")
    told = []
    for name, found in scored.items():
        false_accepts, right = found.curve(MOST_FALSE_ACCEPTS)
        color = style[name]["color"]
        dashes = "--" if report.records.run.backend_names.index(name) >= len(COLOURS) else "-"
        axes.step(100 * false_accepts, 100 * right, dashes, where="post", color=color, label=name)
        point = 100 * own.loc[name, "own_shown"], 100 * own.loc[name, "own_right"]
        if point[0] <= 100 * MOST_FALSE_ACCEPTS:
            axes.plot(*point, **style[name], markersize=8, markeredgecolor="white", linestyle="")
        told.append(f"{name}: {percent(found.auroc or 0)} % of pairs in order, own point {_point(*point)}")
    for share in FALSE_ACCEPT_SHARES:
        axes.axvline(100 * share, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 100 * MOST_FALSE_ACCEPTS)
    axes.set_ylim(top=101)
    axes.set_xlabel("% of other words shown as a word; marks: the operating points of the checkpoints")
    axes.set_ylabel("% of words right and shown")
    axes.grid(visible=True, alpha=0.25)
    add_legend(figure)
    alt = f"Right and shown against false accepts. {'; '.join(told)}."
    return Picture("unheard_curves", "Voices that no model heard", alt, figure, "unheard")


def _point(shown: float, right: float) -> str:
    return f"{right:.1f} % right and shown at {shown:.1f} % of other words"


def reliability(report: Report) -> Picture | None:
    """Share of right words by confidence, a panel per backend; the numbers are words in the bin."""
    scored = {name: found for name, found in report.unheard.items() if found.has_scores}
    if not scored:
        return None
    figure, drawn = panels(report.watermark, [*scored], (3.2, 3.0), 3, ("confidence", "share right"))
    style = _styles(report)
    told = []
    for name, found in scored.items():
        axes = drawn[name]
        words = found.words[found.words["confidence"] >= 0]
        bins = np.minimum((words["confidence"] * NUM_BINS).astype(int), NUM_BINS - 1)
        groups = words.groupby(bins)
        sure, right = groups["confidence"].mean(), groups["correct"].mean()
        counts = groups.size()
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
        axes.bar(
            (counts.index + 0.5) / NUM_BINS,
            counts / counts.max(),
            width=0.9 / NUM_BINS,
            color=style[name]["color"],
            alpha=0.15,
        )
        axes.plot(sure, right, **style[name], markersize=4)
        for number, count in counts.items():
            axes.annotate(
                str(count),
                ((number + 0.5) / NUM_BINS, 0.0),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=6,
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.05)
        axes.grid(visible=True, alpha=0.25)
        gap = float((counts * (sure - right).abs()).sum() / counts.sum())
        told.append(f"{name}: expected calibration error {percent(gap)} %")
    alt = f"Reliability. {'; '.join(told)}."
    title = "Confidence against the share of right words; bars and numbers: words in the bin"
    return Picture("reliability", title, alt, figure, "unheard")


def accuracy_latency(report: Report) -> Picture | None:
    """Accuracy against latency with the size as area; what another backend beats in both is hollow."""
    table = report.tables["main"].frame
    rows = table.dropna(subset=NEEDED)
    if rows.empty:
        return None
    figure = new_figure(report.watermark, width=11.0, height=5.5)
    axes = figure.add_subplot()
    area_per_mb = min(AREA_PER_MB, MAX_AREA / max(rows["opened_bytes"].max() / 1e6, 1e-9))
    style = _styles(report)
    told = []
    for _, row in rows.iterrows():
        megabytes = row["opened_bytes"] / 1e6
        accuracy = 100 * row["accuracy"]
        bounds = 100 * row[["accuracy_low", "accuracy_high"]].to_numpy(dtype=float)
        look = style[row["backend"]]
        dominated = _is_dominated(row, rows)
        flags = f" ({row['flags'].split(' (')[0]})" if row["flags"] else ""
        axes.scatter(
            row["cost_ms"], accuracy, area_per_mb * megabytes, color=look["color"], alpha=0.25, linewidths=0
        )
        axes.errorbar(
            row["cost_ms"],
            accuracy,
            yerr=np.abs(bounds - accuracy)[:, np.newaxis],
            **look,
            markersize=6,
            markerfacecolor="white" if dominated else look["color"],
            capsize=3,
            label=f"{row['backend']}, {megabytes:.1f} MB{flags}",
        )
        told.append(f"{row['backend']}: {accuracy:.1f} %, {row['cost_ms']:.3g} ms, {megabytes:.1f} MB")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(LogFormatter())
    axes.margins(x=0.1, y=0.15)
    axes.set_xlabel("ms per clip (logarithmic)")
    protocol = headline_protocol(report.records.run)
    axes.set_ylabel(f"{protocol.protocol} accuracy in % with 95 % interval")
    axes.set_title(
        "area: files of the checkpoint; hollow: another one is at least as good in all three",
        fontsize="small",
        loc="left",
    )
    axes.grid(visible=True, which="major", alpha=0.25)
    missing = table.loc[~table.index.isin(rows.index), "backend"].tolist()
    if missing:
        figure.supxlabel(f"not drawn, a figure is missing: {', '.join(missing)}", fontsize="small")
    figure.legend(loc="outside right center", fontsize="small", labelspacing=1.0)
    alt = f"Accuracy, latency, size. {'; '.join(told)}."
    return Picture("accuracy_latency", "Accuracy against latency", alt, figure)


def _is_dominated(row: pd.Series, rows: pd.DataFrame) -> bool:
    """Whether another backend is at least as good in accuracy, latency and size, and better in one."""
    costs = ["cost_ms", "opened_bytes"]
    gains = rows[costs].rsub(row[costs].astype(float)).assign(accuracy=rows["accuracy"] - row["accuracy"])
    return bool(((gains >= 0).all(axis=1) & (gains > 0).any(axis=1)).any())


def confusions(report: Report) -> Picture | None:
    """A matrix per backend under the headline protocol, in percent of the digit spoken."""
    protocol = headline_protocol(report.records.run).protocol
    table = report.tables["confusion"].frame
    rows = table[table["protocol"] == protocol]
    backends = rows["backend"].unique().tolist()
    if not backends:
        return None
    figure, drawn = panels(report.watermark, backends, (3.6, 3.5), 3, ("answered", "spoken"))
    told = []
    labels = vocabulary().labels
    answered = [*labels, NONE]
    for backend, axes in drawn.items():
        counts = rows[rows["backend"] == backend][answered].to_numpy(dtype=float)
        shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
        for spoken, said in np.argwhere(shares >= 0.5):
            value = shares[spoken, said]
            axes.text(
                said,
                spoken,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=6,
                color="black" if value > 55 else "white",
            )
        axes.set_xticks(range(len(answered)), answered, fontsize=7)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
        wrong = shares.copy()
        wrong[np.arange(len(labels)), np.arange(len(labels))] = 0
        spoken, said = np.unravel_index(int(wrong.argmax()), wrong.shape)
        if wrong[spoken, said] > 0:
            told.append(
                f"{backend}: most often {labels[spoken]} as {answered[said]}, {wrong[spoken, said]:.0f} %"
            )
    return Picture(
        "confusion",
        f"Confusion, {protocol}, % of the digit spoken",
        f"Confusion matrices. {'; '.join(told) or 'No errors'}.",
        figure,
        "confusion",
    )


def snr_curves(report: Report) -> Picture | None:
    """Accuracy against the signal-to-noise ratio, a panel per noise, with 95 % bands over speakers."""
    if "robustness" not in report.tables:
        return None
    table = report.tables["robustness"].frame
    rows = table[table["family"].isin(SNR_FAMILIES)].dropna(subset=["level"])
    groups = [name for name, group in rows.groupby("family", sort=False) if group["level"].nunique() > 1]
    if not groups:
        return None
    axis = "speech over noise in dB", "accuracy in %"
    figure, drawn = panels(report.watermark, groups, (4.0, 3.2), 2, axis)
    style = _styles(report)
    told = []
    for group, axes in drawn.items():
        for backend, curve in rows[rows["family"] == group].groupby("backend", sort=False):
            curve = curve.sort_values("level")
            axes.plot(curve["level"], 100 * curve["accuracy"], **style[backend], markersize=4, label=backend)
            clean = curve["accuracy"] - curve["change"]
            band = [
                100 * np.clip((clean + curve[f"change_{end}"]).astype(float), 0, 1) for end in ("low", "high")
            ]
            axes.fill_between(curve["level"], *band, color=style[backend]["color"], alpha=0.12, linewidth=0)
            told.append(
                f"{backend} in {group}: "
                + " to ".join(
                    f"{percent(curve['accuracy'].iloc[end])} % at {curve['level'].iloc[end]:g} dB"
                    for end in (0, -1)
                )
            )
        axes.axhline(10, color="grey", linewidth=0.8, linestyle=":")
        axes.set_ylim(0, 102)
        axes.grid(visible=True, alpha=0.25)
    add_legend(figure)
    alt = f"Accuracy by noise level. {'; '.join(told)}."
    return Picture("snr", "Accuracy in noise; dotted: chance", alt, figure, "robustness_summary")


def _styles(report: Report) -> dict[str, dict[str, Any]]:
    return styles(report.records.run.backend_names)
