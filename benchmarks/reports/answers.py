"""Raw answers -> one frame, with text mapped to a digit again by the present rules."""

import sys
from collections.abc import Iterable
from typing import Any

import pandas as pd

from benchmarks.records.layout import AnswerRecord
from inference.prediction import PASSED_ON
from inference.transcripts import match_transcript

CLEAN = "clean"
REJECTION = "rejection"
OTHER_WORDS = "other-words"
COLUMNS = (
    "backend",
    "protocol",
    "fold",
    "condition",
    "clip",
    "speaker",
    "reference",
    "status",
    "label",
    "recorded_label",
    "hypothesis",
    "score",
    "none_probability",
    "reason",
    "refused",
    "snr_db",
    "ok",
    "correct",
)


def answer_frame(records: Iterable[AnswerRecord]) -> pd.DataFrame:
    """All answers of a run, one row each.

    ``ok`` says whether there is an answer at all; ``label`` is None where it is no digit, which is an
    error; ``recorded_label`` is what the mapping said at the run.
    """
    return pd.DataFrame.from_records(map(_row, records), columns=list(COLUMNS))


def _row(record: AnswerRecord) -> tuple[Any, ...]:
    hypothesis, label = record.hypothesis, record.label
    mapped = label if hypothesis is None else match_transcript(hypothesis).label
    ok = record.status == "ok"
    cells = {
        **{name: getattr(record, name, None) for name in COLUMNS},
        "label": mapped,
        "recorded_label": label,
        "snr_db": record.corruption.realised_snr_db if record.corruption else None,
        "ok": ok,
        "correct": ok and mapped is not None and mapped == record.reference,
    }
    # Names recur in every record: one copy of each is enough.
    return tuple(sys.intern(cell) if isinstance(cell, str) else cell for cell in cells.values())


def of_condition(answers: pd.DataFrame, backend: str, protocol: str, condition: str = CLEAN) -> pd.DataFrame:
    """The answers of one backend under one protocol and condition."""
    return answers[
        (answers["backend"] == backend)
        & (answers["protocol"] == protocol)
        & (answers["condition"] == condition)
    ]


def passed_on_shares(answers: pd.DataFrame) -> dict[str, float]:
    """Backend -> share of the clean clips that its first model passed on; only where one did."""
    clean = answers[(answers["condition"] == CLEAN) & answers["ok"].astype(bool)]
    shares = (clean["reason"] == PASSED_ON).groupby(clean["backend"]).mean()
    return {str(name): float(share) for name, share in shares.items() if share}


def speaker_accuracies(answers: pd.DataFrame) -> pd.Series:
    """Share of right answers by speaker, sorted by name."""
    return answers[answers["ok"]].groupby("speaker")["correct"].mean()
