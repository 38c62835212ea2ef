"""What to ship, in two sentences: the best, the cheapest that cannot be told from it, what a limit costs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from benchmarks.records.layout import ProtocolRecord, RunRecord
from benchmarks.reports.answers import of_condition
from benchmarks.reports.pair_table import compare_answers
from benchmarks.reports.run_tables import headline_protocol
from benchmarks.reports.table import Table, digits, is_missing, megabytes, percent
from benchmarks.reports.unheard import FALSE_ACCEPT_SHARES, HEADLINE, AllUnheard, compare_unheard

Row = Mapping[str, Any]


def verdict(run: RunRecord, answers: pd.DataFrame, table: Table, unheard: AllUnheard) -> list[str]:
    """The sentences that a report opens with.

    What decides is the share right and shown of voices that no model heard, at an equal share of other words
    shown; without such recordings the accuracy under the headline protocol. Two backends differ where the
    95 % interval of their paired difference excludes 0: over speakers where they are new, over clips of these
    voices otherwise.

    Args:
        run: What was measured.
        answers: All answers, scored.
        table: The main table.
        unheard: Answers to voices that no model heard.

    Returns:
        Markdown; a single sentence where nothing can be recommended.
    """
    protocol = headline_protocol(run)
    usable = {entry.backend for entry in run.backends if not _leaks(entry.protocols)}
    measured: list[dict[Any, Any]] = [
        row for row in table.frame.to_dict("records") if row["backend"] in usable and row["status"] == "ok"
    ]
    key = HEADLINE if any(not is_missing(row.get(HEADLINE)) for row in measured) else "accuracy"
    rows = [row for row in measured if not is_missing(row[key])]
    if not rows:
        return ["No backend was measured whole: there is nothing to recommend."]

    def difference(first: Row, second: Row) -> dict[str, Any]:
        names = first["backend"], second["backend"]
        if key == HEADLINE:
            return compare_unheard(unheard[names[0]], unheard[names[1]], FALSE_ACCEPT_SHARES[0])
        asked = [of_condition(answers, name, protocol.protocol) for name in names]
        return compare_answers(asked[0], asked[1], protocol.new_speakers)

    best = max(rows, key=lambda row: (row[key], -_cost(row)[0]))
    rivals = {row["backend"]: difference(best, row) for row in rows if row is not best}
    equals = [row for row in rows if row is best or not _differs(rivals[row["backend"]])]
    pick = min(equals, key=_cost)
    first = f"Best on {_heard(key, protocol)}: {_described(best, key)}"
    if key == HEADLINE:
        first += f", right and shown where {100 * FALSE_ACCEPT_SHARES[0]:.0f} % of other words are shown"
    if pick is best:
        alike = [row for row in equals if row is not best]
        first += "; " + (
            f"{_listed(alike)} cannot be told from it here (undecided) and takes longer or as long."
            if alike
            else "every other one is worse by more than chance."
            if len(rows) > 1
            else "no other one was measured whole."
        )
    else:
        first += (
            f"; the cheapest that cannot be told from it here is {_described(pick, key)}, "
            f"{_behind(rivals[pick['backend']])}: undecided."
        )
    return [first, *_costs_of_limits(rows, best, pick, rivals, key)]


def _heard(key: str, protocol: ProtocolRecord) -> str:
    if key == HEADLINE:
        return "voices that no model heard"
    return "new speakers" if protocol.new_speakers else "the speakers of the training part"


def _leaks(protocols: Mapping[str, Any]) -> bool:
    return any(told.leaked_clips for told in protocols.values())


def _cost(row: Row) -> tuple[float, float]:
    """Milliseconds, then bytes; what was not measured counts as endless."""
    return tuple(  # type: ignore[return-value]
        float("inf") if is_missing(row[key]) else float(row[key]) for key in ("p50_ms", "opened_bytes")
    )


def _differs(test: Mapping[str, Any]) -> bool:
    if test.get("difference_low") is not None:
        return bool(test["difference_low"] > 0)
    # Without speakers as the unit there is the test that speaks of these voices.
    return "speakers" in test and test["speakers"] > 1 and test["mcnemar_p"] < 0.05


def _described(row: Row, key: str) -> str:
    interval = f" [{percent(row[f'{key}_low'])}, {percent(row[f'{key}_high'])}]"
    return f"**{row['backend']}**, {percent(row[key])} %{interval}{_resources(row)}"


def _resources(row: Row) -> str:
    known = []
    if not is_missing(row["p50_ms"]):
        known.append(f"{digits(row['p50_ms'])} ms")
    if not is_missing(row["opened_bytes"]):
        known.append(f"{megabytes(row['opened_bytes'])} MB")
    return f" ({', '.join(known)})" if known else ""


def _behind(test: Mapping[str, Any]) -> str:
    low, high = test.get("difference_low"), test.get("difference_high")
    interval = "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{100 * test['difference']:.1f} points behind{interval}"


def _listed(rows: list[dict[Any, Any]]) -> str:
    return ", ".join(f"**{row['backend']}**" for row in rows)


def _costs_of_limits(
    rows: list[dict[Any, Any]],
    best: Row,
    pick: Row,
    rivals: Mapping[str, Mapping[str, Any]],
    decisive: str,
) -> list[str]:
    """What is left below the milliseconds and the bytes of the recommended one."""
    clauses: dict[str, list[str]] = {}
    for key, show, unit in (("p50_ms", digits, "ms a clip"), ("opened_bytes", megabytes, "MB")):
        if is_missing(pick[key]):
            continue
        below = [row for row in rows if not is_missing(row[key]) and row[key] < pick[key]]
        if not below:
            continue
        left = max(below, key=lambda row: row[decisive])
        told = f"**{left['backend']}**, {percent(left[decisive])} %{_resources(left)}"
        if left is not best:
            test = rivals[left["backend"]]
            told += f", {_behind(test)}{'' if _differs(test) else ': undecided'}"
        clauses.setdefault(told, []).append(f"{show(pick[key])} {unit}")
    if not clauses:
        return []
    parts = [f"below {' or '.join(limits)} the best is {told}" for told, limits in clauses.items()]
    sentence = "; ".join(parts)
    return [f"{sentence[0].upper()}{sentence[1:]}."]
