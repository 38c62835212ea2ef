"""What to ship under the given limits, what cannot be told from it, and what each limit costs."""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.records.layout import ProtocolRecord, RunRecord
from benchmarks.reports.pair_table import compare_answers
from benchmarks.reports.scores import headline_protocol, of_condition
from benchmarks.reports.table import Table, digits, is_missing, megabytes, percent
from benchmarks.reports.uncertainty import share_on_new_voices
from benchmarks.reports.unheard import FALSE_ACCEPT_SHARES, AllUnheard, compare_unheard
from inference.errors import UserError


@dataclass(frozen=True)
class Requirements:
    """What a recogniser has to keep to be shipped; None where everything will do.

    Attributes:
        max_ms: Milliseconds that a clip costs: the median, the mean where some clips are passed on.
        max_mb: Files of the checkpoint in 10^6 bytes.
        max_false_accepts: Share of other words shown at which the words right and shown are counted.
        new_speakers: Least share of words of new voices that are right and, with other words, shown.
    """

    max_ms: float | None = None
    max_mb: float | None = None
    max_false_accepts: float | None = None
    new_speakers: float | None = None

    def given(self) -> dict[str, str]:
        """The limits that were given: field -> in words."""
        words = {
            "max_ms": lambda value: f"{value:g} ms",
            "max_mb": lambda value: f"{value:g} MB",
            "max_false_accepts": lambda value: f"{100 * value:g} % of other words shown",
            "new_speakers": lambda value: f"{100 * value:g} % right or more",
        }
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: words[name](value) for name, value in values.items() if value is not None}

    def without(self, name: str) -> "Requirements":
        """The same but for one limit; without one on other words every answer is shown."""
        return replace(self, **{name: 1.0 if name == "max_false_accepts" else None})


class _Candidate(NamedTuple):
    """A backend that was measured whole: its share right, with an interval, and what it costs."""

    name: str
    share: float
    low: float | None
    high: float | None
    ms: float
    megabytes: float

    def keeps(self, needs: Requirements) -> bool:
        return (
            self.ms <= (math.inf if needs.max_ms is None else needs.max_ms)
            and self.megabytes <= (math.inf if needs.max_mb is None else needs.max_mb)
            and self.share >= (needs.new_speakers or 0.0)
        )

    @property
    def costs(self) -> str:
        """Milliseconds and size in brackets."""
        known = [f"{digits(self.ms)} ms"] if self.ms < math.inf else []
        known += [f"{megabytes(1e6 * self.megabytes)} MB"] if self.megabytes < math.inf else []
        return f" ({', '.join(known)})" if known else ""

    @property
    def described(self) -> str:
        interval = "" if self.low is None else f" [{percent(self.low)}, {percent(self.high or 0.0)}]"
        return f"**{self.name}**, {percent(self.share)} %{interval}{self.costs}"


class _Choice(NamedTuple):
    """The best that fits, those that cannot be told from it, the cheapest of these, and all that fit."""

    best: _Candidate
    alike: list[_Candidate]
    pick: _Candidate
    fitting: list[_Candidate]


def verdict(
    run: RunRecord,
    answers: pd.DataFrame,
    table: Table,
    unheard: AllUnheard,
    needs: Requirements | None = None,
) -> list[str]:
    """The sentences that a report opens with.

    What decides is the share right and shown of voices that no model heard, at an equal share of other words
    shown; without such recordings the accuracy under the headline protocol. Two backends differ where the
    95 % interval of their paired difference excludes 0: over speakers where they are new, over clips of these
    voices otherwise. Of those that do not differ from the best the cheapest is shipped.

    Args:
        run: What was measured.
        answers: All answers, scored.
        table: The main table.
        unheard: Answers to voices that no model heard.
        needs: The limits; none by default.

    Returns:
        Markdown; what to ship, what its limits cost, and what could not be judged.

    Raises:
        UserError: If a limit is on something that was not measured.
    """
    needs = needs or Requirements()
    evidence = _Evidence(run, answers, table, unheard)
    evidence.check(needs)
    candidates = evidence.candidates(needs)
    if not candidates:
        return ["No backend was measured whole: there is nothing to recommend."]
    choice = evidence.choose(needs)
    given = needs.given()
    if choice is None:
        sentences = [f"Nothing that was measured keeps {_joined(given.values())}.", _loosen(evidence, needs)]
    elif given:
        sentences = [_ship(evidence, needs, choice), _costs_of_given_limits(evidence, needs, choice)]
    else:
        sentences = [_ship(evidence, needs, choice), _costs_of_tighter_limits(evidence, needs, choice)]
    left_out = [row["backend"] for row in evidence.rows if row["backend"] not in _names(candidates)]
    if left_out and given:
        sentences.append(f"Not judged, for want of figures or of a score: {', '.join(left_out)}.")
    return [sentence for sentence in sentences if sentence]


class _Evidence:
    """The figures of a run, asked under different limits."""

    def __init__(self, run: RunRecord, answers: pd.DataFrame, table: Table, unheard: AllUnheard):
        self.protocol: ProtocolRecord = headline_protocol(run)
        self.rows: list[dict[Any, Any]] = table.frame.to_dict("records")
        self._answers = answers
        self._unheard = unheard
        self._leaky = {
            entry.backend
            for entry in run.backends
            if any(told.leaked_clips for told in entry.protocols.values())
        }

    def check(self, needs: Requirements) -> None:
        """Refuses limits on what was not measured."""
        missing = {
            "max_ms": ("p50_ms", "time: measure with --phases accuracy latency"),
            "max_mb": ("opened_bytes", "size: measure with --phases accuracy size"),
        }
        for name, (key, what) in missing.items():
            if getattr(needs, name) is not None and all(is_missing(row[key]) for row in self.rows):
                raise UserError(f"--{name.replace('_', '-')}: no row of this run has a {what}.")
        if needs.max_false_accepts is not None and self._false_accepts(needs) is None:
            raise UserError(
                f"--max-false-accepts {needs.max_false_accepts:g}: this run has too few other words to tell "
                "such a share, or no backend with scores; measure with --protocol external:FOLDER "
                "--other-words FOLDER."
            )
        if needs.new_speakers is not None and not self.protocol.new_speakers:
            raise UserError(
                "--new-speakers: this run has none; measure with --protocol loso or external:FOLDER."
            )

    def _false_accepts(self, needs: Requirements) -> float | None:
        """The share of other words at which words are counted; None where accuracy decides."""
        wanted = FALSE_ACCEPT_SHARES[0] if needs.max_false_accepts is None else needs.max_false_accepts
        told = any(found.threshold(wanted) is not None for found in self._unheard.values())
        return wanted if told else None

    def candidates(self, needs: Requirements) -> list[_Candidate]:
        """All that have the figure that decides."""
        false_accepts = self._false_accepts(needs)
        found = []
        for row in self.rows:
            name = row["backend"]
            if row["status"] != "ok" or name in self._leaky:
                continue
            share = row["accuracy"], row["accuracy_low"], row["accuracy_high"]
            if false_accepts is not None:
                heard = self._unheard.get(name)
                right = None if heard is None else heard.right_and_shown(false_accepts)
                if heard is None or right is None:
                    continue
                estimate, interval = share_on_new_voices(right.tolist(), heard.words["speaker"].tolist())
                share = estimate, interval.low, interval.high
            if is_missing(share[0]):
                continue
            ms, size = (math.inf if is_missing(row[key]) else row[key] for key in ("cost_ms", "opened_bytes"))
            found.append(_Candidate(name, *share, ms, size / 1e6))
        return found

    def choose(self, needs: Requirements) -> _Choice | None:
        """The cheapest of the best that keep the limits; None if nothing does."""
        fitting = [one for one in self.candidates(needs) if one.keeps(needs)]
        if not fitting:
            return None
        best = max(fitting, key=lambda one: (one.share, -one.ms))
        alike = [
            one for one in fitting if one is not best and not _differs(self.difference(best, one, needs))
        ]
        pick = min([best, *alike], key=lambda one: (one.ms, one.megabytes))
        return _Choice(best, alike, pick, fitting)

    def difference(self, first: _Candidate, second: _Candidate, needs: Requirements) -> Mapping[str, Any]:
        """How much more often the first is right, paired."""
        names = first.name, second.name
        false_accepts = self._false_accepts(needs)
        if false_accepts is not None:
            return compare_unheard(self._unheard[names[0]], self._unheard[names[1]], false_accepts)
        asked = [of_condition(self._answers, name, self.protocol.protocol) for name in names]
        return compare_answers(asked[0], asked[1], self.protocol.new_speakers)

    def heard(self, needs: Requirements) -> str:
        """What the share is of."""
        false_accepts = self._false_accepts(needs)
        if false_accepts is None:
            voices = "new speakers" if self.protocol.new_speakers else "the speakers of the training part"
            return f"right on {voices}"
        shown = (
            "right, every answer shown,"
            if false_accepts >= 1
            else f"right and shown where {100 * false_accepts:g} % of other words are shown,"
        )
        return f"{shown} on voices that no model heard"


def _ship(evidence: _Evidence, needs: Requirements, choice: _Choice) -> str:
    """The first sentence: what to ship and what ties with it."""
    pick, best = choice.pick, choice.best
    limits = [words for name, words in needs.given().items() if name != "max_false_accepts"]
    start = f"Within {_joined(limits)} ship" if limits else "Ship"
    sentence = f"{start} {pick.described}: {evidence.heard(needs)}"
    if needs.new_speakers is not None and pick.low is not None and pick.low < needs.new_speakers:
        sentence += f" (whether it keeps {100 * needs.new_speakers:g} % on further voices is undecided)"
    rest = [one for one in choice.alike if one is not pick]
    if pick is not best:
        also = f", nor can {_bold(rest)}" if rest else ""
        points = _points(evidence.difference(best, pick, needs))
        return f"{sentence}; the best, {best.described}, cannot be told from it ({points}: undecided){also}."
    if rest:
        return f"{sentence}; {_bold(rest)} cannot be told from it (undecided) and costs as much or more."
    return f"{sentence}; " + (
        "every other one is worse by more than chance." if len(choice.fitting) > 1 else "no other one fits."
    )


def _costs_of_given_limits(evidence: _Evidence, needs: Requirements, choice: _Choice) -> str:
    """The second sentence under limits: what would be shipped without each."""
    told: dict[str, list[str]] = {}
    free: dict[str, str] = {}
    for name, words in needs.given().items():
        instead = _instead(evidence, needs.without(name), choice.pick)
        if instead:
            told.setdefault(instead, []).append(words)
        else:
            free[name] = words
    parts = [f"without {' or '.join(words)} it would be {instead}" for instead, words in told.items()]
    jointly = needs
    for name in free.keys() - {"max_false_accepts"}:
        jointly = jointly.without(name)
    instead = _instead(evidence, jointly, choice.pick)
    if instead:
        parts.append(f"without {_joined(free.values())} together it would be {instead}")
    elif free:
        parts.append(f"{_joined(free.values())} cost{'s' if len(free) == 1 else ''} nothing")
    return _sentence(parts)


def _instead(evidence: _Evidence, needs: Requirements, pick: _Candidate) -> str:
    """What would be shipped under other limits, with what it is better by; empty if it is the same."""
    other = evidence.choose(needs)
    if other is None or other.pick.name == pick.name:
        return ""
    if needs.max_false_accepts == 1.0:
        return f"{other.pick.described}: {evidence.heard(needs)}"
    same = next(one for one in evidence.candidates(needs) if one.name == pick.name)
    test = evidence.difference(other.pick, same, needs)
    return f"{other.pick.described}, {_points(test)}{'' if _differs(test) else ': undecided'}"


def _loosen(evidence: _Evidence, needs: Requirements) -> str:
    """Where nothing fits: how far each limit would have to be loosened, and what would be shipped then."""
    measures = {"max_ms": "ms", "max_mb": "megabytes"}
    parts = []
    for name in needs.given():
        looser = needs.without(name)
        choice = evidence.choose(looser)
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
    free = evidence.choose(Requirements(max_false_accepts=needs.max_false_accepts))
    return f"Loosening one is not enough; without any it would be {free.pick.described}." if free else ""


def _costs_of_tighter_limits(evidence: _Evidence, needs: Requirements, choice: _Choice) -> str:
    """The second sentence without limits: what is left below the milliseconds and the size of the pick."""
    told: dict[str, list[str]] = {}
    for key, unit in (("ms", "ms a clip"), ("megabytes", "MB")):
        bound = getattr(choice.pick, key)
        below = [one for one in choice.fitting if getattr(one, key) < bound < math.inf]
        if below:
            left = max(below, key=lambda one: one.share)
            test = evidence.difference(left, choice.pick, needs)
            words = f"{left.described}, {_points(test)}{'' if _differs(test) else ': undecided'}"
            told.setdefault(words, []).append(f"{digits(bound)} {unit}")
    return _sentence([f"below {' or '.join(limits)} the best is {what}" for what, limits in told.items()])


def _differs(test: Mapping[str, Any]) -> bool:
    if test.get("difference_low") is not None:
        return bool(test["difference_low"] > 0 or test["difference_high"] < 0)
    # Without speakers as the unit there is the test that speaks of these voices.
    return "speakers" in test and test["speakers"] > 1 and test["mcnemar_p"] < 0.05


def _points(test: Mapping[str, Any]) -> str:
    low, high = test.get("difference_low"), test.get("difference_high")
    interval = "" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{100 * test['difference']:+.1f} points{interval}"


def _names(candidates: Sequence[_Candidate]) -> set[str]:
    return {one.name for one in candidates}


def _bold(candidates: Sequence[_Candidate]) -> str:
    return _joined([f"**{one.name}**" for one in candidates])


def _joined(words: Any) -> str:
    *first, last = [*words] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""
