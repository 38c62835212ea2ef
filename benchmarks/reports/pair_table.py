"""Pairs of backends under one protocol: difference, interval, tests and what could have been found."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.records.run_record import RunRecord
from benchmarks.reports.scores import of_condition
from benchmarks.reports.table import (
    REASON,
    Column,
    Table,
    p_value,
    percent,
    points,
    table_of,
    text_columns,
    whole,
)
from benchmarks.reports.uncertainty import (
    detectable_difference,
    half_width,
    holm,
    mcnemar_p,
    paired_t,
)


def pair_table(run: RunRecord, answers: pd.DataFrame) -> Table:
    """All pairs of backends that answered every clip of a protocol."""
    rows: list[dict[str, Any]] = []
    for protocol in run.protocols:
        asked = {name: of_condition(answers, name, protocol.protocol) for name in run.backend_names}
        asked = {name: own for name, own in asked.items() if len(own) == protocol.measured_clips}
        pairs = [
            {"protocol": protocol.protocol, "first": first, "second": second}
            | compare_answers(asked[first], asked[second], protocol.new_speakers)
            for first, second in itertools.combinations(asked, 2)
        ]
        tested = [pair for pair in pairs if pair.get("t_p") is not None]
        for pair, value in zip(tested, holm([pair["t_p"] for pair in tested]), strict=True):
            pair["holm_p"] = value
        rows += pairs
    columns = [
        *text_columns("protocol", "first", "second"),
        Column("difference", "first - second, points", points),
        Column("t_p", "t p", p_value),
        Column("holm_p", "Holm p", p_value),
        Column("only_first", "only first right", whole),
        Column("only_second", "only second right", whole),
        Column("mcnemar_p", "McNemar p, these voices", p_value),
        Column("detectable", "detectable, points", percent),
    ]
    return table_of("pairs", "Pairs", columns, rows, _notes(rows))


def compare_answers(first: pd.DataFrame, second: pd.DataFrame, new_speakers: bool) -> dict[str, Any]:
    """Compares two sets of answers on the clips that both have.

    Args:
        first: Answers with the columns ``clip``, ``speaker``, ``ok`` and ``correct``.
        second: Those of the other backend.
        new_speakers: Whether the speakers are the unit; without that only the test that speaks of
            these voices is made.
    """
    both = first[first["ok"]].merge(second[second["ok"]], on=["clip", "speaker"], suffixes=("_1", "_2"))
    right = both["correct_1"].to_numpy(dtype=bool), both["correct_2"].to_numpy(dtype=bool)
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    by_speaker = both.groupby("speaker")[["correct_1", "correct_2"]].mean()
    differences = (by_speaker["correct_1"] - by_speaker["correct_2"]).tolist()
    row: dict[str, Any] = {
        "clips": len(both),
        "speakers": len(differences),
        "difference": float(np.mean(right[0].astype(float) - right[1])) if len(both) else None,
        "only_first": only_first,
        "only_second": only_second,
        "mcnemar_p": mcnemar_p(only_first, only_second),
    }
    if not new_speakers:
        return row | {REASON: "the speakers are those of the training part: nothing is said of new voices"}
    row["difference"] = float(np.mean(differences)) if differences else None
    test = paired_t(differences)
    if test is None:
        return row | {REASON: "fewer than two speakers, or differences that do not vary between them"}
    spread = float(np.std(differences, ddof=1))
    return row | {
        "difference_low": test.interval.low,
        "difference_high": test.interval.high,
        "t_p": test.p_value,
        "half_width": half_width(spread, len(differences)),
        "detectable": detectable_difference(spread, len(differences)),
    }


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = [
        "Difference, interval and t test are over speakers: what to expect of a further voice. Holm's p "
        "allows for the number of pairs. McNemar's test is over clips and speaks of these voices only: on "
        "new ones it finds differences too often.",
        "Detectable: the true difference that this number of speakers would show with 80 % power.",
    ]
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        tested = [row for row in rows if row["protocol"] == protocol and row.get("t_p") is not None]
        if tested:
            widths = sorted(100 * row["half_width"] for row in tested)
            notes.append(
                f"{protocol}: half widths of the intervals are {widths[0]:.1f} to {widths[-1]:.1f} points; "
                f"smaller differences are not resolvable with {tested[0]['speakers']} speakers."
            )
    return notes
