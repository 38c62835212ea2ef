"""Limits from a file against the figures of a run; an interval that straddles a limit decides nothing."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.reports.pair_table import compare_answers
from benchmarks.reports.report_tables import Report
from benchmarks.reports.scores import headline_protocol, of_condition
from benchmarks.reports.table import is_missing, points
from inference.errors import UserError

PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"
#: Latency of a model that misses its accuracy; fails like any other.
INVALID = "invalid"
ACCURACY_KEY = re.compile(r"(?P<protocol>.+)_acc_min")
#: Limit -> column of the main table and factor to its unit.
UPPER_LIMITS = {
    "unmapped_max": ("unmapped", 1.0),
    "p95_ms_max": ("p95_ms", 1.0),
    "ratio_max": ("ratio", 1.0),
    "model_mb_max": ("opened_bytes", 1e6),
    "peak_rss_mb_max": ("peak_rss_bytes", 1e6),
}
LATENCY_KEYS = ("p95_ms_max", "ratio_max")
ROBUST_KEY, RIVAL_KEY, MARGIN_KEY = "robust_10db_min", "non_inferior_to", "margin_pp"
KEYS = ("<protocol>_acc_min", RIVAL_KEY, MARGIN_KEY, ROBUST_KEY, *UPPER_LIMITS)


@dataclass(frozen=True)
class Limits:
    """A file of limits.

    Attributes:
        backends: Entry -> limit -> value.
        undecided: How an undecided limit counts: ``pass`` or ``fail``.
        hardware: Hash that milliseconds belong to; None for any.
    """

    backends: Mapping[str, Mapping[str, Any]]
    undecided: str = FAIL
    hardware: str | None = None


@dataclass(frozen=True)
class Verdict:
    """One limit and what the run says to it."""

    backend: str
    limit: str
    verdict: str
    measured: str
    reason: str = ""

    def cells(self) -> tuple[str, ...]:
        """As a line of a table."""
        return self.verdict, self.backend, self.limit, self.measured, self.reason


def read_limits(path: Path) -> Limits:
    """Reads a file of limits.

    Raises:
        UserError: If it cannot be read or holds something else.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as TOML ({error}); see python -m benchmarks.gate --help"
        ) from error
    unknown = content.keys() - {"backends", "undecided", "hw"}
    backends = content.get("backends")
    if unknown or not isinstance(backends, dict) or not backends:
        raise UserError(
            f"{path}: expected tables [backends.NAME] and optionally undecided and hw"
            + (f", found {', '.join(sorted(unknown))}." if unknown else ".")
        )
    if content.get("undecided", FAIL) not in (PASS, FAIL):
        raise UserError(f"{path}: undecided = {content['undecided']!r}, expected {PASS!r} or {FAIL!r}.")
    for name, limits in backends.items():
        if not isinstance(limits, dict):
            raise UserError(f"{path}: backends.{name} is no table of limits.")
        _check_limits(path, name, limits)
    return Limits(backends, content.get("undecided", FAIL), content.get("hw"))


def _check_limits(path: Path, name: str, limits: Mapping[str, Any]) -> None:
    for key, value in limits.items():
        known = key in (RIVAL_KEY, MARGIN_KEY, ROBUST_KEY, *UPPER_LIMITS) or ACCURACY_KEY.fullmatch(key)
        if not known:
            raise UserError(f"{path}: backends.{name}.{key} is no limit; choose of: {', '.join(KEYS)}.")
        wanted = str if key == RIVAL_KEY else (int, float)
        if not isinstance(value, wanted) or isinstance(value, bool):
            kind = "the name of a row" if key == RIVAL_KEY else "a number"
            raise UserError(f"{path}: backends.{name}.{key} = {value!r}, expected {kind}.")


def judge(report: Report, limits: Limits) -> list[Verdict]:
    """Holds a run against limits, accuracy first.

    Raises:
        UserError: If a row or protocol is named that the run does not have.
    """
    names = report.records.run.backend_names
    verdicts = []
    for name, own in limits.backends.items():
        for wanted in (name, own.get(RIVAL_KEY, name)):
            if wanted not in names:
                raise UserError(f"the run has no row {wanted}; it has: {', '.join(names)}.")
        wanted_keys = [key for key in own if key not in (MARGIN_KEY, *UPPER_LIMITS)]
        accuracy = [_lower_verdict(report, name, key, own) for key in wanted_keys]
        accurate = all(found.verdict != FAIL for found in accuracy)
        upper = [_upper_verdict(report, limits, name, key, accurate) for key in UPPER_LIMITS if key in own]
        verdicts += [*accuracy, *upper]
    return verdicts


def _lower_verdict(report: Report, name: str, key: str, limits: Mapping[str, Any]) -> Verdict:
    """On a share that should be large, or a difference from a rival that should not be a loss."""
    limit, promise = limits[key], f"{key} = {limits[key]}"
    match = ACCURACY_KEY.fullmatch(key)
    if match:
        table = report.tables["accuracy"].frame
        rows = table[(table["backend"] == name) & (table["protocol"] == match["protocol"])]
        if rows.empty:
            known = ", ".join(dict.fromkeys(table["protocol"]))
            raise UserError(f"the run has no protocol {match['protocol']}; it has: {known}.")
        return _judged(name, promise, rows.iloc[0], "accuracy", limit, is_lower=True)
    if key == ROBUST_KEY:
        summary = report.tables.get("robustness_summary")
        rows = summary.frame[summary.frame["backend"] == name] if summary else pd.DataFrame()
        return _judged(name, promise, {} if rows.empty else rows.iloc[0], "at_10_db", limit, is_lower=True)
    margin_pp = float(limits.get(MARGIN_KEY, 1.0))
    protocol = headline_protocol(report.records.run)
    promise = f"not worse than {limit} by {margin_pp:g} points ({protocol.protocol})"
    asked = [of_condition(report.answers, row, protocol.protocol) for row in (name, limit)]
    test = compare_answers(asked[0], asked[1], protocol.new_speakers)
    if test["clips"] and test.get("difference_low") is None:
        measured = f"{points(test['difference'])} points"
        return Verdict(name, promise, UNDECIDED, measured, "no interval over speakers")
    return _judged(name, promise, test, "difference", -margin_pp, is_lower=True, unit=0.01)


def _upper_verdict(report: Report, limits: Limits, name: str, key: str, accurate: bool) -> Verdict:
    """On a figure that should be small."""
    column, unit = UPPER_LIMITS[key]
    limit = limits.backends[name][key]
    row = report.tables["main"].frame.set_index("backend").loc[name]
    found = _judged(name, f"{key} = {limit:g}", row, column, limit, is_lower=False, unit=unit)
    if is_missing(row[column]):
        return found
    if key in LATENCY_KEYS and not accurate:
        return replace(found, verdict=INVALID, reason="latency of a model that misses its accuracy")
    if key == "p95_ms_max" and limits.hardware not in (None, report.records.run.environment.hw):
        return replace(found, verdict=UNDECIDED, reason="measured on other hardware than the limit")
    return found


def _judged(
    name: str,
    promise: str,
    row: Mapping[str, Any] | pd.Series,
    column: str,
    limit: float,
    is_lower: bool,
    unit: float = 1.0,
) -> Verdict:
    """The verdict on a figure and its interval: it has to lie above (``is_lower``) or below the limit."""
    figures: list[Any] = [row.get(f"{column}{end}") for end in ("", "_low", "_high")]
    value, low, high = figures
    if is_missing(value):
        return Verdict(name, promise, UNDECIDED, "-", "not measured")
    if is_missing(low) or is_missing(high):
        low = high = value
    value, low, high = value / unit, low / unit, high / unit
    measured = f"{value:.4g}" + ("" if low == high else f" [{low:.4g}, {high:.4g}]")
    good, bad = (low >= limit, high < limit) if is_lower else (high <= limit, low > limit)
    return Verdict(name, promise, PASS if good else FAIL if bad else UNDECIDED, measured)
