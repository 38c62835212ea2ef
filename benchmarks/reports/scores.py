"""Answers scored again by the present rules, and what those of one backend under one protocol come to."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.records.measurements import AnswerRecord
from benchmarks.records.run_record import CLEAN, ProtocolRecord, RunRecord
from benchmarks.reports.uncertainty import share_on_new_voices
from finetune.intervals import wilson_interval
from finetune.metrics import macro_f1
from inference.backends.transcripts import match_transcript
from inference.prediction import PASSED_ON
from inference.vocabulary import vocabulary

COLUMNS = (
    "backend",
    "protocol",
    "fold",
    "condition",
    "clip",
    "pcm_sha",
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


#: What the names of protocols begin with whose voices no model heard.
OUTSIDE = "external:"


def headline_protocol(run: RunRecord) -> ProtocolRecord:
    """The protocol that decides: voices that no model heard, else the first of new speakers, else any."""
    outside = [protocol for protocol in run.protocols if protocol.protocol.startswith(OUTSIDE)]
    new = [protocol for protocol in run.protocols if protocol.new_speakers]
    return (*outside, *new, *run.protocols)[0]


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


#: Last column of a confusion matrix: no digit.
NONE = "none"


@dataclass(frozen=True)
class Scores:
    """What the answers of one backend under one protocol come to.

    Attributes:
        figures: Cells of the tables, see ``score``.
        confusion: Rows are the digits spoken, columns those answered and ``none``; counts.
        unmapped_texts: Raw text of answers that are no digit -> count, most frequent first.
    """

    figures: dict[str, Any]
    by_speaker: dict[str, float]
    confusion: pd.DataFrame
    unmapped_texts: dict[str, int]


def score_run(run: RunRecord, answers: pd.DataFrame) -> dict[tuple[str, str], Scores]:
    """Scores of every backend and protocol that was asked about all its clips."""
    scores = {}
    for entry in run.backends:
        for protocol in run.protocols:
            asked = of_condition(answers, entry.backend, protocol.protocol)
            if len(asked) == protocol.measured_clips and asked["ok"].any():
                scores[entry.backend, protocol.protocol] = score(asked, protocol.new_speakers)
    return scores


def score(asked: pd.DataFrame, new_speakers: bool) -> Scores:
    """Scores answers, of which at least one is proper.

    Clips without a proper answer are ``errors`` and no part of the accuracy. Answers that are no digit count
    as wrong, those that the operating point would not show as answered.

    Args:
        asked: One row per clip.
        new_speakers: Whether the speakers were not trained on. Then they are the unit of the interval.
    """
    proper = asked[asked["ok"]]
    by_speaker = speaker_accuracies(asked)
    unmapped, shown = proper[proper["label"].isna()], proper[proper["refused"].isna()]
    correct = int(proper["correct"].sum())
    accuracy, interval = correct / len(proper), wilson_interval(correct, len(proper))
    if new_speakers:
        accuracy, interval = share_on_new_voices(proper["correct"].tolist(), proper["speaker"].tolist())
    confusion = _confusion(proper)
    recalls = {row["digit"]: row["recall"] for row in digit_rows(confusion) if row["recall"] is not None}
    labels = [None if pd.isna(label) else label for label in proper["label"]]
    figures = {
        "clips": len(asked),
        "answered": len(proper),
        "errors": len(asked) - len(proper),
        "speakers": len(by_speaker),
        "accuracy": accuracy,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "interval_method": interval.method,
        "accuracy_errors_wrong": accuracy * len(proper) / len(asked),
        "macro_f1": macro_f1(labels, proper["reference"].tolist()),
        "unmapped": len(unmapped) / len(proper),
        "refused": (len(proper) - len(shown)) / len(proper),
        "accuracy_shown": float(shown["correct"].mean()) if len(shown) else None,
        "worst_speaker": by_speaker.idxmin(),
        "worst_speaker_accuracy": float(by_speaker.min()),
        "worst_digit": min(recalls, key=lambda digit: (recalls[digit], digit)),
        "worst_digit_recall": min(recalls.values()),
    }
    texts = unmapped["hypothesis"].dropna().value_counts()
    ranked = dict(sorted(texts.items(), key=lambda item: (-item[1], str(item[0]))))
    return Scores(figures, by_speaker.to_dict(), confusion, ranked)


def digit_rows(confusion: pd.DataFrame) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each digit; None where there is nothing to divide by."""
    rows = []
    for label in vocabulary().labels:
        right = int(confusion.loc[label, label])
        spoken, answered = int(confusion.loc[label].sum()), int(confusion[label].sum())
        rows.append(
            {
                "digit": label,
                "clips": spoken,
                "precision": right / answered if answered else None,
                "recall": right / spoken if spoken else None,
                "f1": 2 * right / (spoken + answered) if spoken + answered else None,
            }
        )
    return rows


def _confusion(proper: pd.DataFrame) -> pd.DataFrame:
    answered = pd.Categorical(proper["label"].fillna(NONE), categories=[*vocabulary().labels, NONE])
    spoken = pd.Categorical(proper["reference"], categories=list(vocabulary().labels))
    return pd.crosstab(spoken, answered, dropna=False).reindex(
        index=list(vocabulary().labels), columns=[*vocabulary().labels, NONE], fill_value=0
    )
