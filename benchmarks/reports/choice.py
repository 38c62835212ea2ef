"""The best that keeps the given limits, what cannot be told from it, and the cheapest that is as good.

What decides is the share right and shown of voices that no model heard, at an equal share of other words
shown; without such recordings the accuracy under the headline protocol. Two backends differ where the
95 % interval of their paired difference excludes 0: over speakers where they are new, over clips of these
voices otherwise. That two cannot be told apart is no proof that they are alike, least of all on a few voices:
a cheaper one takes the place of the best only where a loss of more than ``MARGIN`` is ruled out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.records.run_record import ProtocolRecord, RunRecord
from benchmarks.reports.pair_table import compare_answers
from benchmarks.reports.scores import headline_protocol, of_condition
from benchmarks.reports.table import Table, digits, is_missing, megabytes, percent
from benchmarks.reports.uncertainty import share_on_new_voices
from benchmarks.reports.unheard import FALSE_ACCEPT_SHARES, AllUnheard, compare_unheard
from inference.errors import UserError

#: Share of words by which what is shipped may be worse than the best (a margin of non-inferiority).
MARGIN = 0.05


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


class Candidate(NamedTuple):
    """A backend that was measured whole: its share right, with an interval, and what it costs."""

    name: str
    share: float
    low: float | None
    high: float | None
    ms: float
    megabytes: float

    def keeps(self, needs: Requirements) -> bool:
        """Whether it is within the limits."""
        return (
            self.ms <= (math.inf if needs.max_ms is None else needs.max_ms)
            and self.megabytes <= (math.inf if needs.max_mb is None else needs.max_mb)
            and self.share >= (needs.new_speakers or 0.0)
        )

    @property
    def cost(self) -> tuple[float, float]:
        """What the cheapest is chosen by."""
        return self.ms, self.megabytes

    @property
    def costs(self) -> str:
        """Milliseconds and size in brackets."""
        known = [f"{digits(self.ms)} ms"] if self.ms < math.inf else []
        known += [f"{megabytes(1e6 * self.megabytes)} MB"] if self.megabytes < math.inf else []
        return f" ({', '.join(known)})" if known else ""

    @property
    def described(self) -> str:
        """Name, share right and costs."""
        interval = "" if self.low is None else f" [{percent(self.low)}, {percent(self.high or 0.0)}]"
        return f"**{self.name}**, {percent(self.share)} %{interval}{self.costs}"


class Choice(NamedTuple):
    """What fits best, and what to ship.

    Attributes:
        best: The one with the largest share right.
        alike: Those that cannot be told from it.
        pick: The cheapest of it and those alike that are not worse by more than ``MARGIN``.
        fitting: All that keep the limits.
    """

    best: Candidate
    alike: list[Candidate]
    pick: Candidate
    fitting: list[Candidate]

    @property
    def unproven(self) -> list[Candidate]:
        """Cheaper ones that cannot be told from the best and may yet be much worse."""
        return [one for one in self.alike if one.cost < self.pick.cost]


@dataclass(frozen=True)
class Evidence:
    """The figures of a run, asked under some limits; ``replace`` asks under others."""

    run: RunRecord
    answers: pd.DataFrame
    table: Table
    unheard: AllUnheard
    needs: Requirements

    @property
    def protocol(self) -> ProtocolRecord:
        """The one that decides."""
        return headline_protocol(self.run)

    @property
    def rows(self) -> list[dict[Any, Any]]:
        """Those of the main table."""
        return self.table.frame.to_dict("records")

    def check(self) -> None:
        """Refuses limits on what was not measured."""
        missing = {
            "max_ms": ("p50_ms", "time: measure with --phases accuracy latency"),
            "max_mb": ("opened_bytes", "size: measure with --phases accuracy size"),
        }
        for name, (key, what) in missing.items():
            if getattr(self.needs, name) is not None and all(is_missing(row[key]) for row in self.rows):
                raise UserError(f"--{name.replace('_', '-')}: no row of this run has a {what}.")
        limit = self.needs.max_false_accepts
        if limit is not None and self.false_accepts is None:
            raise UserError(
                f"--max-false-accepts {limit:g}: this run has too few other words to tell "
                "such a share, or no backend with scores; measure with --protocol external:FOLDER "
                "--other-words FOLDER."
            )
        if self.needs.new_speakers is not None and not self.protocol.new_speakers:
            raise UserError(
                "--new-speakers: this run has none; measure with --protocol loso or external:FOLDER."
            )

    @property
    def false_accepts(self) -> float | None:
        """The share of other words at which words are counted; None where accuracy decides."""
        limit = self.needs.max_false_accepts
        wanted = FALSE_ACCEPT_SHARES[0] if limit is None else limit
        told = any(found.threshold(wanted) is not None for found in self.unheard.values())
        return wanted if told else None

    def candidates(self) -> list[Candidate]:
        """All that have the figure that decides, and have not heard what is tested."""
        leaky = {
            entry.backend
            for entry in self.run.backends
            if any(told.leaked_clips for told in entry.protocols.values())
        }
        false_accepts = self.false_accepts
        found = []
        for row in self.rows:
            name = row["backend"]
            if row["status"] != "ok" or name in leaky:
                continue
            share = row["accuracy"], row["accuracy_low"], row["accuracy_high"]
            if false_accepts is not None:
                heard = self.unheard.get(name)
                right = None if heard is None else heard.right_and_shown(false_accepts)
                if heard is None or right is None:
                    continue
                estimate, interval = share_on_new_voices(right.tolist(), heard.words["speaker"].tolist())
                share = estimate, interval.low, interval.high
            if is_missing(share[0]):
                continue
            ms, size = (math.inf if is_missing(row[key]) else row[key] for key in ("cost_ms", "opened_bytes"))
            found.append(Candidate(name, *share, ms, size / 1e6))
        return found

    def choose(self) -> Choice | None:
        """The cheapest of the best that keep the limits; None if nothing does."""
        fitting = [one for one in self.candidates() if one.keeps(self.needs)]
        if not fitting:
            return None
        best = max(fitting, key=lambda one: (one.share, -one.ms))
        tests = [(one, self.difference(best, one)) for one in fitting if one is not best]
        alike = [(one, test) for one, test in tests if not differs(test)]
        as_good = [one for one, test in alike if _largest_loss(test) <= MARGIN]
        pick = min([best, *as_good], key=lambda one: one.cost)
        return Choice(best, [one for one, _ in alike], pick, fitting)

    def difference(self, first: Candidate, second: Candidate) -> Mapping[str, Any]:
        """How much more often the first is right, paired."""
        names = first.name, second.name
        if self.false_accepts is not None:
            return compare_unheard(self.unheard[names[0]], self.unheard[names[1]], self.false_accepts)
        asked = [of_condition(self.answers, name, self.protocol.protocol) for name in names]
        return compare_answers(asked[0], asked[1], self.protocol.new_speakers)

    def heard(self) -> str:
        """What the share is of."""
        false_accepts = self.false_accepts
        if false_accepts is None:
            voices = "new speakers" if self.protocol.new_speakers else "the speakers of the training part"
            return f"right on {voices}"
        shown = (
            "right, every answer shown,"
            if false_accepts >= 1
            else f"right and shown where {100 * false_accepts:g} % of other words are shown,"
        )
        return f"{shown} on voices that no model heard"


def _largest_loss(test: Mapping[str, Any]) -> float:
    """By how much the second of a comparison may be worse; where there is no interval, by what was found."""
    high = test.get("difference_high")
    return float(test["difference"] if high is None else high)


def differs(test: Mapping[str, Any]) -> bool:
    """Whether a paired comparison tells two backends apart."""
    if test.get("difference_low") is not None:
        return bool(test["difference_low"] > 0 or test["difference_high"] < 0)
    # Without speakers as the unit there is the test that speaks of these voices.
    return "speakers" in test and test["speakers"] > 1 and test["mcnemar_p"] < 0.05
