"""Pairs of backends under one protocol: difference, interval, tests and what could have been found."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.records.run_record import ProtocolRecord, RunRecord
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
    least_sign_flip_p,
    mcnemar,
    paired_t,
    sign_flip_p,
)

PRIMARY = "primary"


def pair_table(run: RunRecord, answers: pd.DataFrame) -> Table:
    """All pairs of backends that answered every clip of a protocol."""
    families = {entry.backend: entry.family for entry in run.backends}
    rows: list[dict[str, Any]] = []
    for protocol in run.protocols:
        group = []
        asked = {
            name: of_condition(answers, name, protocol.protocol)
            for name in families
            if not row_lacks_answers(answers, name, protocol)
        }
        primary = primary_pair({name: families[name] for name in asked})
        for first, second in itertools.combinations(asked, 2):
            role = PRIMARY if {first, second} == primary else "secondary"
            row = compare_answers(asked[first], asked[second], protocol.new_speakers)
            group.append(
                {"protocol": protocol.protocol, "first": first, "second": second, "role": role, **row}
            )
        _adjust(group)
        rows += group
    return table_of("pairs", "Pairs", _columns(), rows, _notes(rows))


def row_lacks_answers(answers: pd.DataFrame, name: str, protocol: ProtocolRecord) -> bool:
    """Whether a backend did not answer every clip of a protocol."""
    return len(of_condition(answers, name, protocol.protocol)) < protocol.measured_clips


def primary_pair(families: Mapping[str, str]) -> set[str]:
    """The one comparison declared beforehand: the first Wav2Vec2 row against the first MFCC row.

    The order of the rows is what was typed, so that no result chooses the comparison.
    """
    firsts = [
        next((name for name, family in families.items() if family == wanted), None)
        for wanted in ("wav2vec2", "mfcc")
    ]
    return set() if None in firsts else {name for name in firsts if name is not None}


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
    p, method = mcnemar(only_first, only_second)
    by_speaker = both.groupby("speaker")[["correct_1", "correct_2"]].mean()
    differences = (by_speaker["correct_1"] - by_speaker["correct_2"]).tolist()
    row: dict[str, Any] = {
        "clips": len(both),
        "speakers": len(differences),
        "difference": float(np.mean(right[0].astype(float) - right[1])) if len(both) else None,
        "only_first": only_first,
        "only_second": only_second,
        "mcnemar_p": p,
        "mcnemar_method": method,
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
        "sign_flip_p": sign_flip_p(differences),
        "half_width": half_width(spread, len(differences)),
        "detectable": detectable_difference(spread, len(differences)),
    }


def _adjust(rows: Sequence[dict[str, Any]]) -> None:
    """Corrects the p-values of the secondary pairs of one protocol for their number."""
    secondary = [row for row in rows if row["role"] != PRIMARY and row.get("t_p") is not None]
    for row, value in zip(secondary, holm([row["t_p"] for row in secondary]), strict=True):
        row["holm_p"] = value


def _columns() -> list[Column]:
    return [
        *text_columns("protocol", "first", "second", "role"),
        Column("difference", "first - second, points", points),
        Column("t_p", "t p", p_value),
        Column("holm_p", "Holm p", p_value, missing="the primary comparison needs no correction"),
        Column("sign_flip_p", "sign-flip p", p_value),
        Column("only_first", "only first right", whole),
        Column("only_second", "only second right", whole),
        Column("mcnemar_p", "McNemar p, these voices", p_value),
        Column("detectable", "detectable, points", percent),
    ]


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = [
        "Difference, interval and t test are over speakers: what to expect of a further voice. McNemar's "
        "test is over clips and speaks of these voices only: on new ones it finds differences too often.",
        "Detectable: the true difference that this number of speakers would show with 80 % power.",
    ]
    if not any(row["role"] == PRIMARY for row in rows):
        notes.append("No primary comparison: it is the first wav2vec2 row against the first mfcc row.")
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        tested = [row for row in rows if row["protocol"] == protocol and row.get("t_p") is not None]
        if not tested:
            continue
        widths = sorted(100 * row["half_width"] for row in tested)
        notes.append(
            f"{protocol}: half widths of the intervals are {widths[0]:.1f} to {widths[-1]:.1f} points; "
            f"smaller differences are not resolvable with {tested[0]['speakers']} speakers."
        )
        secondary = sum(row["role"] != PRIMARY for row in tested)
        if secondary * least_sign_flip_p(tested[0]["speakers"]) > 0.05:
            notes.append(
                f"{protocol}: the sign-flip test cannot reject by construction once corrected for "
                f"{secondary} pairs: its smallest p with {tested[0]['speakers']} speakers is "
                f"{least_sign_flip_p(tested[0]['speakers']):.3f}."
            )
    return notes
