"""Limits from a file against the figures of a run; an interval that straddles a limit decides nothing."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.reports.pair_table import compare_answers
from benchmarks.reports.report_tables import Report
from benchmarks.reports.scores import headline_protocol, of_condition
from benchmarks.reports.table import is_missing
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
        accuracy = [verdict for key in own for verdict in _accuracy_verdict(report, name, key, own)]
        verdicts += accuracy
        accurate = all(verdict.verdict != FAIL for verdict in accuracy)
        row = report.tables["main"].frame.set_index("backend").loc[name]
        for key in UPPER_LIMITS:
            if key in own:
                verdicts.append(_upper_verdict(report, limits, row, name, key, own[key], accurate))
    return verdicts


def _accuracy_verdict(report: Report, name: str, key: str, limits: Mapping[str, Any]) -> list[Verdict]:
    limit = limits[key]
    match = ACCURACY_KEY.fullmatch(key)
    if match:
        table = report.tables["accuracy"].frame
        rows = table[(table["backend"] == name) & (table["protocol"] == match["protocol"])]
        if rows.empty:
            known = ", ".join(dict.fromkeys(table["protocol"]))
            raise UserError(f"the run has no protocol {match['protocol']}; it has: {known}.")
        row = rows.iloc[0]
        return [_lower(name, key, limit, row["accuracy"], row["accuracy_low"], row["accuracy_high"])]
    if key == ROBUST_KEY:
        summary = report.tables.get("robustness_summary")
        rows = summary.frame[summary.frame["backend"] == name] if summary else pd.DataFrame()
        value = None if rows.empty else rows.iloc[0]["at_10_db"]
        return [_lower(name, key, limit, value, None, None)]
    if key == RIVAL_KEY:
        return [_non_inferiority(report, name, str(limit), float(limits.get(MARGIN_KEY, 1.0)))]
    return []


def _non_inferiority(report: Report, name: str, rival: str, margin_pp: float) -> Verdict:
    protocol = headline_protocol(report.records.run)
    asked = [of_condition(report.answers, row, protocol.protocol) for row in (name, rival)]
    promise = f"not worse than {rival} by {margin_pp:g} points ({protocol.protocol})"
    if not (asked[0]["ok"].any() and asked[1]["ok"].any()):
        return Verdict(name, promise, UNDECIDED, "-", "not measured")
    test = compare_answers(asked[0], asked[1], protocol.new_speakers)
    low, high = test.get("difference_low"), test.get("difference_high")
    if low is None or high is None:
        return Verdict(
            name, promise, UNDECIDED, f"{100 * test['difference']:+.1f} points", "no interval over speakers"
        )
    measured = f"{100 * test['difference']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    return Verdict(name, promise, _straddles(low, high, -margin_pp / 100, lower=True), measured)


def _upper_verdict(
    report: Report, limits: Limits, row: pd.Series, name: str, key: str, limit: float, accurate: bool
) -> Verdict:
    column, unit = UPPER_LIMITS[key]
    promise = f"{key} = {limit:g}"
    value = row[column]
    if is_missing(value):
        return Verdict(name, promise, UNDECIDED, "-", "not measured")
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    bounds = (value, value) if is_missing(low) or is_missing(high) else (low, high)
    measured = f"{value / unit:.4g}" + (
        "" if bounds[0] == bounds[1] else f" [{low / unit:.4g}, {high / unit:.4g}]"
    )
    if key in LATENCY_KEYS and not accurate:
        return Verdict(name, promise, INVALID, measured, "latency of a model that misses its accuracy")
    if key == "p95_ms_max" and limits.hardware not in (None, report.records.run.environment.hw):
        return Verdict(name, promise, UNDECIDED, measured, "measured on other hardware than the limit")
    return Verdict(
        name, promise, _straddles(bounds[0] / unit, bounds[1] / unit, limit, lower=False), measured
    )


def _lower(name: str, key: str, limit: float, value: Any, low: Any, high: Any) -> Verdict:
    promise = f"{key} = {limit:g}"
    if is_missing(value):
        return Verdict(name, promise, UNDECIDED, "-", "not measured")
    if is_missing(low) or is_missing(high):
        return Verdict(name, promise, _straddles(value, value, limit, lower=True), f"{value:.3f}")
    return Verdict(
        name, promise, _straddles(low, high, limit, lower=True), f"{value:.3f} [{low:.3f}, {high:.3f}]"
    )


def _straddles(low: float, high: float, limit: float, lower: bool) -> str:
    """The verdict on an interval and a limit that lies below (``lower``) or above what is wanted."""
    if low == high:
        return PASS if (low >= limit if lower else low <= limit) else FAIL
    inside, outside = (low >= limit, high < limit) if lower else (high <= limit, low > limit)
    return PASS if inside else FAIL if outside else UNDECIDED
