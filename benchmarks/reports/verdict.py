"""The sentences that a report opens with: what to ship within limits, what ties with it, what each costs."""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from benchmarks.records.run_record import RunRecord
from benchmarks.reports.choice import MARGIN, Candidate, Choice, Evidence, Requirements, differs
from benchmarks.reports.table import Table, digits
from benchmarks.reports.unheard import AllUnheard


def verdict(
    run: RunRecord,
    answers: pd.DataFrame,
    table: Table,
    unheard: AllUnheard,
    needs: Requirements | None = None,
) -> list[str]:
    """The sentences that a report opens with.

    Returns:
        Markdown; what to ship, what its limits cost, and what could not be judged.

    Raises:
        UserError: If a limit is on something that was not measured.
    """
    needs = needs or Requirements()
    evidence = Evidence(run, answers, table, unheard, needs)
    evidence.check()
    candidates = evidence.candidates()
    if not candidates:
        return ["No backend was measured whole: there is nothing to recommend."]
    choice = evidence.choose()
    given = needs.given()
    if choice is None:
        sentences = [f"Nothing that was measured keeps {_joined(given.values())}.", _loosen(evidence)]
    elif given:
        sentences = [_ship(evidence, choice), _costs_of_given_limits(evidence, choice)]
    else:
        sentences = [_ship(evidence, choice), _costs_of_tighter_limits(evidence, choice)]
    judged = {one.name for one in candidates}
    left_out = [row["backend"] for row in evidence.rows if row["backend"] not in judged]
    if left_out:
        sentences.append(f"Not judged, for want of figures or of a score: {', '.join(left_out)}.")
    return [sentence for sentence in sentences if sentence]


def _ship(evidence: Evidence, choice: Choice) -> str:
    """The first sentence: what to ship and what ties with it."""
    pick, best, needs = choice.pick, choice.best, evidence.needs
    limits = [words for name, words in needs.given().items() if name != "max_false_accepts"]
    start = f"Within {_joined(limits)} ship" if limits else "Ship"
    sentence = f"{start} {pick.described}: {evidence.heard()}"
    if needs.new_speakers is not None and pick.low is not None and pick.low < needs.new_speakers:
        sentence += f" (whether it keeps {100 * needs.new_speakers:g} % on further voices is undecided)"
    unproven = choice.unproven
    rest = [one for one in choice.alike if one is not pick and one not in unproven]
    if pick is not best:
        also = f", nor can {_bold(rest)}" if rest else ""
        points = _points(evidence.difference(best, pick))
        sentence += f"; the best, {best.described}, cannot be told from it ({points}: undecided){also}"
    elif rest:
        sentence += f"; {_bold(rest)} cannot be told from it (undecided) and costs as much or more"
    elif not unproven:
        alone = (
            "no other one fits"
            if len(choice.fitting) == 1
            else "every other one is worse by more than chance"
        )
        sentence += f"; {alone}"
    if unproven:
        verb = "costs" if len(unproven) == 1 else "cost"
        sentence += (
            f"; {_bold(unproven)} {verb} less, but this test is too small to rule out a loss of more than "
            f"{100 * MARGIN:g} points"
        )
    return f"{sentence}."


def _costs_of_given_limits(evidence: Evidence, choice: Choice) -> str:
    """The second sentence under limits: what would be shipped without each."""
    told: dict[str, list[str]] = {}
    free: dict[str, str] = {}
    jointly = evidence.needs
    for name, words in evidence.needs.given().items():
        instead = _instead(replace(evidence, needs=evidence.needs.without(name)), choice.pick)
        if instead:
            told.setdefault(instead, []).append(words)
        else:
            free[name] = words
    parts = [f"without {' or '.join(words)} it would be {instead}" for instead, words in told.items()]
    for name in free.keys() - {"max_false_accepts"}:
        jointly = jointly.without(name)
    instead = _instead(replace(evidence, needs=jointly), choice.pick)
    if instead:
        parts.append(f"without {_joined(free.values())} together it would be {instead}")
    elif free:
        parts.append(f"{_joined(free.values())} cost{'s' if len(free) == 1 else ''} nothing")
    return _sentence(parts)


def _instead(evidence: Evidence, pick: Candidate) -> str:
    """What would be shipped under other limits, with what it is better by; empty if it is the same."""
    other = evidence.choose()
    if other is None or other.pick.name == pick.name:
        return ""
    if evidence.needs.max_false_accepts == 1.0:
        return f"{other.pick.described}: {evidence.heard()}"
    same = next(one for one in evidence.candidates() if one.name == pick.name)
    test = evidence.difference(other.pick, same)
    return f"{other.pick.described}, {_points(test)}{'' if differs(test) else ': undecided'}"


def _loosen(evidence: Evidence) -> str:
    """Where nothing fits: how far each limit would have to be loosened, and what would be shipped then."""
    measures = {"max_ms": "ms", "max_mb": "megabytes"}
    parts = []
    for name in evidence.needs.given():
        choice = replace(evidence, needs=evidence.needs.without(name)).choose()
        if choice is None:
            continue
        flag = f"--{name.replace('_', '-')}"
        if name in measures:
            nearest = min(choice.fitting, key=operator.attrgetter(measures[name]))
            steps = [nearest] if nearest is choice.pick else [nearest, choice.pick]
            parts.append(
                f"{flag} "
                + ", ".join(f"to {digits(getattr(one, measures[name]))} for {one.described}" for one in steps)
            )
        elif name == "new_speakers":
            parts.append(f"{flag} to {choice.pick.share:.3f} for {choice.pick.described}")
        else:
            parts.append(f"{flag} (showing every answer) for {choice.pick.described}")
    if parts:
        return f"Loosen {'; or '.join(parts)}."
    unbound = Requirements(max_false_accepts=evidence.needs.max_false_accepts)
    free = replace(evidence, needs=unbound).choose()
    return f"Loosening one is not enough; without any it would be {free.pick.described}." if free else ""


def _costs_of_tighter_limits(evidence: Evidence, choice: Choice) -> str:
    """The second sentence without limits: what is left below the milliseconds and the size of the pick."""
    told: dict[str, list[str]] = {}
    for key, unit in (("ms", "ms a clip"), ("megabytes", "MB")):
        bound = getattr(choice.pick, key)
        below = [one for one in choice.fitting if getattr(one, key) < bound < math.inf]
        if below:
            left = max(below, key=lambda one: one.share)
            test = evidence.difference(left, choice.pick)
            words = f"{left.described}, {_points(test)}{'' if differs(test) else ': undecided'}"
            told.setdefault(words, []).append(f"{digits(bound)} {unit}")
    return _sentence([f"below {' or '.join(limits)} the best is {what}" for what, limits in told.items()])


def _points(test: Mapping[str, Any]) -> str:
    low, high = test.get("difference_low"), test.get("difference_high")
    interval = "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{100 * test['difference']:+.1f} points{interval}"


def _bold(candidates: Sequence[Candidate]) -> str:
    return _joined([f"**{one.name}**" for one in candidates])


def _joined(words: Any) -> str:
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""
