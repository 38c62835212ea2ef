"""Voices that no model heard: how many words are right and shown, at how many other words shown.

A closed set of labels has an answer for everything. What a user meets is decided by the one confidence of an
answer (``inference.prediction.confidence``) and the threshold that it is held against, so that models are
compared where they show equally many of other people's other words.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.records.run_record import OTHER_WORDS, RunRecord
from benchmarks.reports.scores import headline_protocol, of_condition
from benchmarks.reports.table import Column, Table, backend_rows, percent, table_of, text_columns, whole
from benchmarks.reports.uncertainty import (
    LEAST_BOOTSTRAP_SPEAKERS,
    bootstrap_over_speakers,
    paired_t,
    share_on_new_voices,
)
from finetune.metrics import detection_auc
from inference.prediction import confidence

#: Shares of other words shown at which models are compared; the first one decides.
FALSE_ACCEPT_SHARES = (0.05, 0.01)
NO_SCORE = "its answers carry no score that a threshold could be held against"
#: Shown by no threshold.
NEVER = -1.0


@dataclass(frozen=True)
class UnheardAnswers:
    """The proper answers of one backend to words of unheard voices, and to other words.

    Attributes:
        words: Columns ``clip``, ``speaker``, ``correct``, ``confidence`` and ``shown``.
        others: Columns ``confidence`` and ``shown``.
        has_scores: Whether every label came with a score.
    """

    words: pd.DataFrame
    others: pd.DataFrame
    has_scores: bool

    def threshold(self, false_accepts: float) -> float | None:
        """The confidence above which no more than this share of the other words lies.

        None without scores, or with fewer other words than tell such a share.
        """
        if false_accepts >= 1:
            return -math.inf
        if not self.has_scores or len(self.others) * false_accepts < 1:
            return None
        ranked = np.sort(self.others["confidence"].to_numpy())[::-1]
        return float(ranked[int(len(ranked) * false_accepts)])

    def right_and_shown(self, false_accepts: float) -> pd.Series | None:
        """One truth value per word, by clip; None where there is no threshold."""
        threshold = self.threshold(false_accepts)
        if threshold is None:
            return None
        return self.words["correct"] & (self.words["confidence"] > threshold)

    @property
    def auroc(self) -> float | None:
        """Probability that a word has more confidence than another word; None without scores."""
        if not self.has_scores:
            return None
        return detection_auc(self.words["confidence"].to_numpy(), self.others["confidence"].to_numpy())

    def curve(self, most_false_accepts: float) -> tuple[np.ndarray, np.ndarray]:
        """Shares of other words shown, ascending, and the shares of words right and shown beside them."""
        ranked = np.sort(self.others["confidence"].to_numpy())[::-1]
        thresholds = ranked[: int(len(ranked) * most_false_accepts) + 1]
        right = np.sort(self.words.loc[self.words["correct"], "confidence"].to_numpy())
        shown_right = right.size - np.searchsorted(right, thresholds, side="right")
        shown_others = [int((ranked > threshold).sum()) for threshold in thresholds]
        return np.array(shown_others) / len(ranked), shown_right / len(self.words)


AllUnheard = Mapping[str, UnheardAnswers]


def right_key(false_accepts: float) -> str:
    """The column of right and shown at a share of other words shown."""
    return f"right_at_{100 * false_accepts:.0f}"


#: The figure that decides.
HEADLINE = right_key(FALSE_ACCEPT_SHARES[0])


def unheard_answers(run: RunRecord, answers: pd.DataFrame) -> dict[str, UnheardAnswers]:
    """By backend, under the protocol that decides; empty where no other words were asked about.

    A backend that was not asked about all clips is left out.
    """
    protocol = headline_protocol(run)
    asked_others = {row.protocol: row.clips for row in run.conditions if row.condition == OTHER_WORDS}
    if protocol.protocol not in asked_others:
        return {}
    found = {}
    for entry in run.backends:
        words = of_condition(answers, entry.backend, protocol.protocol)
        others = of_condition(answers, entry.backend, protocol.protocol, OTHER_WORDS)
        whole_run = (len(words), len(others)) == (protocol.measured_clips, asked_others[protocol.protocol])
        if whole_run and words["ok"].any() and others["ok"].any():
            found[entry.backend] = _answers_of(words, others)
    return found


def _answers_of(words: pd.DataFrame, others: pd.DataFrame) -> UnheardAnswers:
    parts = []
    has_scores = True
    for asked in (words, others):
        proper = asked[asked["ok"].astype(bool)]
        labelled = proper["label"].notna()
        has_scores &= bool(proper.loc[labelled, "score"].notna().all())
        score, none = proper["score"].astype(float), proper["none_probability"].astype(float)
        sure = np.where(none.isna(), score, confidence(score, none.fillna(0.0)))
        parts.append(
            proper[["clip", "speaker", "correct"]].assign(
                correct=proper["correct"].astype(bool),
                confidence=np.where(labelled & score.notna(), sure, NEVER),
                shown=labelled & proper["refused"].isna(),
            )
        )
    return UnheardAnswers(parts[0], parts[1], has_scores)


def unheard_row(found: UnheardAnswers) -> dict[str, Any]:
    """The figures of one backend."""
    row: dict[str, Any] = {
        "words": len(found.words),
        "speakers": int(found.words["speaker"].nunique()),
        "other_words": len(found.others),
        "auroc": found.auroc,
        "own_shown": float(found.others["shown"].mean()),
    }
    shares = {"closed": found.words["correct"], "own_right": found.words["correct"] & found.words["shown"]}
    for false_accepts in FALSE_ACCEPT_SHARES:
        right = found.right_and_shown(false_accepts)
        if right is not None:
            shares[right_key(false_accepts)] = right
            row[f"threshold_{100 * false_accepts:.0f}"] = found.threshold(false_accepts)
    speakers = found.words["speaker"].tolist()
    for key, right in shares.items():
        row[key], interval = share_on_new_voices(right.tolist(), speakers)
        row |= {f"{key}_low": interval.low, f"{key}_high": interval.high, "interval_method": interval.method}
    return row


def compare_unheard(first: UnheardAnswers, second: UnheardAnswers, false_accepts: float) -> dict[str, Any]:
    """How much more often the first is right and shown, paired over the speakers of the same clips.

    Returns:
        ``difference`` with ``difference_low`` and ``difference_high``, None where speakers do not differ.
    """
    right = [
        found.words[["clip", "speaker"]].assign(right=found.right_and_shown(false_accepts))
        for found in (first, second)
    ]
    both = right[0].merge(right[1], on=["clip", "speaker"], suffixes=("_1", "_2"))
    values = both["right_1"].astype(float) - both["right_2"].astype(float)
    by_speaker = values.groupby(both["speaker"]).mean()
    row: dict[str, Any] = {
        "difference": float(values.mean()),
        "difference_low": None,
        "difference_high": None,
    }
    if len(by_speaker) >= LEAST_BOOTSTRAP_SPEAKERS:
        interval = bootstrap_over_speakers(values.to_numpy(), both["speaker"].tolist())
    else:
        test = paired_t(by_speaker.tolist())
        if test is None:
            return row
        row["difference"], interval = test.mean, test.interval
    return row | {"difference_low": interval.low, "difference_high": interval.high}


def unheard_table(run: RunRecord, unheard: AllUnheard, reasons: Mapping[str, str]) -> Table:
    """One row per backend; no rows where no other words were asked about."""
    rows = backend_rows(run, reasons, lambda name: unheard_row(unheard[name]) if name in unheard else {})
    no_score = f"{NO_SCORE}, or there are too few other words for this share"
    return table_of(
        "unheard",
        "Voices that no model heard",
        [
            *text_columns("backend"),
            Column("closed", "best label right % [95 %]", percent),
            Column("auroc", "AUROC of other words", lambda value: f"{value:.3f}", missing=NO_SCORE),
            *(
                Column(
                    right_key(share),
                    f"right and shown % at {100 * share:.0f} % of other words shown",
                    percent,
                    missing=no_score,
                )
                for share in FALSE_ACCEPT_SHARES
            ),
            Column("own_right", "right and shown %, own operating point", percent),
            Column("own_shown", "other words shown %, own operating point", percent),
            Column("words", "words", whole),
            Column("speakers", "speakers", whole),
            Column("other_words", "other words", whole),
        ],
        rows if unheard else [],
        [
            "Best label: the most probable word of the vocabulary, also where the backend would refuse. "
            "Right and shown: the right word, with more confidence than the threshold. The thresholds at "
            "5 and 1 % are read off these other words and compare backends; only the own operating point "
            "was chosen beforehand. Intervals are over the speakers of the words, thresholds held.",
        ],
    )
