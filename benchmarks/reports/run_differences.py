"""What changed from one run to another: clips, accuracy, latency, size and memory of a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.records.run_record import CLEAN, ProtocolRecord
from benchmarks.reports.pair_table import compare_answers
from benchmarks.reports.report_tables import Report
from benchmarks.reports.scores import of_condition
from benchmarks.reports.table import digits, is_missing, p_value, percent, points
from benchmarks.reports.uncertainty import paired_share_interval
from finetune.intervals import Interval
from inference.errors import UserError

#: What is compared besides accuracy: column of the main table -> heading in units of 10^6.
SIZES = {
    "opened_bytes": "model MB",
    "runtime_bytes": "packages MB",
    "peak_rss_bytes": "memory MB",
    "parameters": "M parameters",
}


#: Clip, label before, label after.
Clips = list[tuple[str, str, str]]


@dataclass(frozen=True)
class ProtocolChange:
    """The answers of a row under one protocol, before and after.

    Attributes:
        clips: Clips that both runs answered.
        accuracy: Share right before and after, on these clips.
        difference: After minus before; over speakers where they are new.
        interval: Of the difference; None where it cannot be told.
        p_value: That nothing changed: t over new speakers, otherwise McNemar's test.
        fixed: Clips right only after.
        broken: Clips right only before.
        mapping_only: Whether the raw answers are the same and only the mapping at the runs differs.
        remapped: Clips whose label at the runs differs though the raw text is the same.
    """

    protocol: str
    clips: int
    accuracy: tuple[float, float]
    difference: float
    interval: Interval | None
    p_value: float
    fixed: Clips
    broken: Clips
    mapping_only: bool
    remapped: Clips

    def lines(self, most: int) -> list[str]:
        """As text, with so many clips at most of each kind."""
        between = "no interval: the differences do not vary between speakers, or there is one speaker"
        if self.interval:
            low, high, method = self.interval
            between = f"[{points(low)}, {points(high)}], {method}"
        lines = [
            f"  {self.protocol}: {' -> '.join(map(percent, self.accuracy))} % of {self.clips} clips, "
            f"{points(self.difference)} points {between}, p {p_value(self.p_value)}"
        ]
        kinds = {"fixed": self.fixed, "broken": self.broken}
        if self.mapping_only:
            lines.append(
                "    The answers are the same and only the mapping of text to digits changed between the "
                f"runs: {len(self.remapped)} labels were others. By the present mapping nothing differs."
            )
            kinds = {"remapped": self.remapped, **kinds}
        for kind, clips in kinds.items():
            lines.append(f"    {kind}: {len(clips)}")
            lines += [f"      {clip}: {before} -> {after}" for clip, before, after in clips[:most]]
            lines += [f"      and {len(clips) - most} more"] if len(clips) > most else []
        return lines


@dataclass(frozen=True)
class Change:
    """All that changed for one row.

    Attributes:
        rows: Its name before and after.
        figures: Heading -> before, after; None where one is missing.
        notes: What a reader must know.
    """

    rows: tuple[str, str]
    protocols: list[ProtocolChange]
    figures: dict[str, tuple[float | None, float | None]]
    notes: list[str]

    def lines(self, most: int) -> list[str]:
        """As text, with so many clips at most of each kind."""
        lines = [" -> ".join(dict.fromkeys(self.rows))]
        for change in self.protocols:
            lines += change.lines(most)
        for heading, (before, after) in self.figures.items():
            told = ["-" if value is None else digits(value) for value in (before, after)]
            relative = f" ({100 * (after / before - 1):+.1f} %)" if before and after is not None else ""
            lines.append(f"  {heading}: {' -> '.join(told)}{relative}")
        return [*lines, *(f"  {note}" for note in self.notes)]


def compare_runs(before: Report, after: Report, pairs: Sequence[tuple[str, str]] = ()) -> list[Change]:
    """Compares rows of two runs.

    Args:
        pairs: Rows of other names to compare; rows of the same name by default.

    Raises:
        UserError: If the runs have no protocol or row in common, or were made on different clips.
    """
    protocols = _common_protocols(before, after)
    names = [report.records.run.backend_names for report in (before, after)]
    chosen = list(pairs) or [(name, name) for name in names[0] if name in names[1]]
    if not chosen:
        raise UserError(
            f"the runs have no row in common ({', '.join(names[0])} against {', '.join(names[1])}); say "
            f"which to compare: --pair {names[0][0]}={names[1][0]}"
        )
    for pair in chosen:
        for name, known, letter in zip(pair, names, "AB", strict=True):
            if name not in known:
                raise UserError(f"run {letter} has no row {name}; it has: {', '.join(known)}.")
    return [_change(before, after, pair, protocols) for pair in chosen]


def _common_protocols(before: Report, after: Report) -> list[ProtocolRecord]:
    names = [[row.protocol for row in report.records.run.protocols] for report in (before, after)]
    common = [row for row in before.records.run.protocols if row.protocol in names[1]]
    if not common:
        raise UserError(
            f"the runs have no protocol in common ({', '.join(names[0])} against {', '.join(names[1])}): "
            "measure both with the same --protocol."
        )
    for row in common:
        first, second = (_asked_clips(report, row.protocol) for report in (before, after))
        if first and second and first != second:
            raise UserError(
                f"the runs were made on different splits: under {row.protocol} run A has {len(first)} "
                f"clips, run B {len(second)}, and {len(first & second)} are the same recording of the same "
                "fold in both. Measure both on the same --dataset, --seed and --limit."
            )
    return common


def _asked_clips(report: Report, protocol: str) -> set[tuple[str, str, str]]:
    """Fold, clip and hash of its samples."""
    asked = report.answers[(report.answers["protocol"] == protocol) & (report.answers["condition"] == CLEAN)]
    return set(asked[["fold", "clip", "pcm_sha"]].fillna("").itertuples(index=False, name=None))


def _change(
    before: Report, after: Report, pair: tuple[str, str], protocols: Sequence[ProtocolRecord]
) -> Change:
    changes, notes = [], []
    for protocol in protocols:
        asked = [
            of_condition(report.answers, name, protocol.protocol)
            for report, name in zip((before, after), pair, strict=True)
        ]
        if asked[0]["ok"].any() and asked[1]["ok"].any():
            changes.append(_protocol_change(asked[0], asked[1], protocol))
        else:
            notes.append(f"{protocol.protocol}: one of the runs has no answers of this row.")
    rows = [
        report.tables["main"].frame.set_index("backend").loc[name]
        for report, name in zip((before, after), pair, strict=True)
    ]
    figures, told = _latency(before, after, rows)
    for key, heading in SIZES.items():
        figures[heading] = _two(rows, key, unit=1e6)
    return Change(pair, changes, figures, [*notes, *told])


def _protocol_change(first: pd.DataFrame, second: pd.DataFrame, protocol: ProtocolRecord) -> ProtocolChange:
    # The later run minus the earlier one.
    test = compare_answers(second, first, protocol.new_speakers)
    both = first[first["ok"]].merge(second[second["ok"]], on=["clip", "speaker", "reference"])
    interval = None
    if test.get("difference_low") is not None:
        interval = Interval(test["difference_low"], test["difference_high"], "t over speakers")
    elif not protocol.new_speakers and len(both):
        interval = paired_share_interval(test["only_first"], test["only_second"], len(both))
    right = both["correct_x"].astype(bool), both["correct_y"].astype(bool)
    raw = [_raw(both, side) for side in "xy"]
    same_text = both["hypothesis_x"].notna() & (both["hypothesis_x"] == both["hypothesis_y"])
    recorded = [both[f"recorded_label_{side}"].fillna("none") for side in "xy"]
    remapped = both[same_text & (recorded[0] != recorded[1])]
    return ProtocolChange(
        protocol=protocol.protocol,
        clips=len(both),
        accuracy=(float(right[0].mean()), float(right[1].mean())),
        difference=test["difference"],
        interval=interval,
        p_value=test["t_p"] if test.get("t_p") is not None else test["mcnemar_p"],
        fixed=_listed(both[~right[0] & right[1]], "label"),
        broken=_listed(both[right[0] & ~right[1]], "label"),
        mapping_only=bool(len(remapped)) and raw[0] == raw[1],
        remapped=_listed(remapped, "recorded_label"),
    )


def _raw(both: pd.DataFrame, side: str) -> list[tuple[Any, ...]]:
    """What the model said, before any mapping of text."""
    text = both[f"hypothesis_{side}"]
    label = both[f"recorded_label_{side}"].where(text.isna(), None)
    return list(
        zip(text.fillna(""), label.fillna(""), both[f"score_{side}"].astype(float).fillna(-1.0), strict=True)
    )


def _listed(rows: pd.DataFrame, column: str) -> list[tuple[str, str, str]]:
    before, after = (rows[f"{column}_{side}"].fillna("none").astype(str) for side in "xy")
    return list(zip(rows["clip"], before, after, strict=True))


def _latency(
    before: Report, after: Report, rows: Sequence[pd.Series]
) -> tuple[dict[str, tuple[float | None, float | None]], list[str]]:
    environments = [report.records.run.environment for report in (before, after)]
    notes = []
    if environments[0].sw != environments[1].sw:
        notes.append("The software differs: see environment in run.json of both.")
    if environments[0].hw is not None and environments[0].hw == environments[1].hw:
        return {f"{name} ms": _two(rows, f"{name}_ms") for name in ("p50", "p95")}, notes
    references = {row["reference"] for row in rows}
    if len(references) == 1 and not is_missing(next(iter(references))):
        notes.append("Other hardware: milliseconds are not compared, but the ratios to the same reference.")
        return {f"x {next(iter(references))}": _two(rows, "ratio")}, notes
    return {}, [*notes, "Other hardware and another reference: latency cannot be compared."]


def _two(rows: Sequence[pd.Series], key: str, unit: float = 1.0) -> tuple[float | None, float | None]:
    before, after = (None if is_missing(row[key]) else float(row[key]) / unit for row in rows)
    return before, after
