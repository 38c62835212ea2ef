"""Scores -> tables of accuracy: by protocol, speaker and digit, confusions, unmapped texts."""

import json
from collections.abc import Mapping

from benchmarks.records.run_record import EntryRecord, RunRecord
from benchmarks.reports.scores import NONE, Scores, digit_rows
from benchmarks.reports.table import REASON, Column, Table, percent, table_of, text_columns, whole
from benchmarks.reports.uncertainty import LEAST_BOOTSTRAP_SPEAKERS
from inference.vocabulary import vocabulary

AllScores = Mapping[tuple[str, str], Scores]
MOST_FREQUENT = 5


def accuracy_table(run: RunRecord, scores: AllScores, reasons: Mapping[str, str]) -> Table:
    """One row per backend and protocol."""
    rows = []
    for protocol in run.protocols:
        for entry in run.backends:
            key = entry.backend, protocol.protocol
            cells = {"backend": key[0], "protocol": key[1], REASON: reason_of(entry, key[1], reasons)}
            rows.append(cells | (scores[key].figures if key in scores else {}))
    return table_of(
        "accuracy",
        "Accuracy",
        [
            *text_columns("backend", "protocol"),
            Column("accuracy", "accuracy % [95 %]", percent),
            Column("interval_method", "interval", numeric=False),
            Column("answered", "clips", whole),
            Column("errors", "no answer", whole),
            Column("accuracy_errors_wrong", "% if those are wrong", percent),
            Column("unmapped", "no digit %", percent),
            Column("refused", "refused %", percent),
            Column("accuracy_shown", "accuracy % of the shown", percent, missing="every answer is refused"),
            Column("macro_f1", "macro F1", lambda value: f"{value:.3f}"),
            Column("worst_digit", "worst digit", numeric=False),
            Column("worst_digit_recall", "its recall %", percent),
        ],
        rows,
        [
            "No digit: answers that name none; they are errors in the accuracy. Refused: answers that "
            "the checkpoint's own operating point would not show; the accuracy counts them as answered.",
        ],
    )


def reason_of(entry: EntryRecord, protocol: str, reasons: Mapping[str, str]) -> str | None:
    """Why a backend has no accuracy under a protocol."""
    told = entry.protocols.get(protocol)
    return reasons.get(entry.backend) or (told.reason if told else None)


def speaker_table(run: RunRecord, scores: AllScores) -> Table:
    """Accuracy by speaker, of protocols with few: of many each says too little."""
    few = [
        (key, figures)
        for key, figures in _ordered(run, scores)
        if len(figures.by_speaker) < LEAST_BOOTSTRAP_SPEAKERS
    ]
    speakers = sorted({speaker for _, figures in few for speaker in figures.by_speaker})
    rows = [
        {"backend": backend, "protocol": protocol, **figures.by_speaker}
        for (backend, protocol), figures in few
    ]
    return table_of(
        "speakers",
        "Accuracy % by speaker",
        [
            *text_columns("backend", "protocol"),
            *(Column(speaker, speaker, percent, missing="no clip of this speaker") for speaker in speakers),
        ],
        rows,
    )


def digit_table(run: RunRecord, scores: AllScores) -> Table:
    """Precision, recall and F1 by digit."""
    rows = [
        {"backend": backend, "protocol": protocol, **row}
        for (backend, protocol), figures in _ordered(run, scores)
        for row in digit_rows(figures.confusion)
    ]
    return table_of(
        "digits",
        "By digit",
        [
            *text_columns("backend", "protocol", "digit"),
            Column("clips", "clips", whole),
            Column("precision", "precision %", percent, missing="never answered"),
            Column("recall", "recall %", percent, missing="never spoken"),
            Column("f1", "F1", lambda value: f"{value:.3f}", missing="neither spoken nor answered"),
        ],
        rows,
    )


def confusion_table(run: RunRecord, scores: AllScores) -> Table:
    """Rows are the digits spoken, columns those answered; the last one is no digit."""
    rows = [
        {"backend": backend, "protocol": protocol, "spoken": spoken, **counts.to_dict()}
        for (backend, protocol), figures in _ordered(run, scores)
        for spoken, counts in figures.confusion.iterrows()
    ]
    return table_of(
        "confusion",
        "Confusion",
        [
            *text_columns("backend", "protocol", "spoken"),
            *(Column(label, label, whole) for label in (*vocabulary().labels, NONE)),
        ],
        rows,
        ["Rows: digit spoken. Columns: digit answered, and none."],
    )


def unmapped_table(run: RunRecord, scores: AllScores) -> Table:
    """The most frequent raw texts that are no digit."""
    rows = [
        {
            "backend": backend,
            "protocol": protocol,
            "text": json.dumps(text, ensure_ascii=False),
            "clips": count,
        }
        for (backend, protocol), figures in _ordered(run, scores)
        for text, count in list(figures.unmapped_texts.items())[:MOST_FREQUENT]
    ]
    return table_of(
        "unmapped",
        "Most frequent texts that are no digit",
        [
            *text_columns("backend", "protocol", "text"),
            Column("clips", "clips", whole),
        ],
        rows,
    )


def _ordered(run: RunRecord, scores: AllScores) -> list[tuple[tuple[str, str], Scores]]:
    keys = [(entry.backend, protocol.protocol) for protocol in run.protocols for entry in run.backends]
    return [(key, scores[key]) for key in keys if key in scores]
