"""What the answers of one backend under one protocol come to."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.records.layout import RunRecord
from benchmarks.reports.answers import of_condition, speaker_accuracies
from benchmarks.reports.uncertainty import share_on_new_voices
from finetune.intervals import Interval, wilson_interval
from finetune.metrics import macro_f1
from inference.vocabulary import vocabulary

#: Last column of a confusion matrix: no digit.
NONE = "none"


@dataclass(frozen=True)
class Scores:
    """The figures of one backend under one protocol.

    Attributes:
        n: Answered clips.
        clips: Clips asked.
        accuracy: Share of right answers, see ``uncertainty.share_on_new_voices`` where speakers are the unit.
        interval: Its confidence interval.
        by_speaker: Share of right answers by speaker.
        macro_f1: Mean F1 over the digits that occur.
        unmapped: Answers that are no digit; they are errors.
        refused: Answers that the operating point of the checkpoint would not have shown.
        accuracy_shown: Share of right answers among the others.
        confusion: Rows are the digits spoken, columns those answered and ``none``; counts.
        unmapped_texts: Raw text of unmapped answers -> count, most frequent first.
    """

    n: int
    clips: int
    accuracy: float
    interval: Interval
    by_speaker: dict[str, float]
    macro_f1: float
    unmapped: int
    refused: int
    accuracy_shown: float | None
    confusion: pd.DataFrame
    unmapped_texts: dict[str, int]

    @property
    def errors(self) -> int:
        """Clips without an answer; they are no part of the accuracy."""
        return self.clips - self.n


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

    Args:
        asked: One row per clip.
        new_speakers: Whether the speakers were not trained on. Then they are the unit of the interval.
    """
    proper = asked[asked["ok"]]
    by_speaker = speaker_accuracies(asked)
    unmapped = proper[proper["label"].isna()]
    shown = proper[proper["refused"].isna()]
    accuracy, interval = accuracy_with_interval(proper, new_speakers)
    labels = [None if pd.isna(label) else label for label in proper["label"]]
    texts = unmapped["hypothesis"].dropna().value_counts()
    return Scores(
        n=len(proper),
        clips=len(asked),
        accuracy=accuracy,
        interval=interval,
        by_speaker=by_speaker.to_dict(),
        macro_f1=macro_f1(labels, proper["reference"].tolist()),
        unmapped=len(unmapped),
        refused=len(proper) - len(shown),
        accuracy_shown=float(shown["correct"].mean()) if len(shown) else None,
        confusion=_confusion(proper),
        unmapped_texts=dict(sorted(texts.items(), key=lambda item: (-item[1], str(item[0])))),
    )


def accuracy_with_interval(proper: pd.DataFrame, new_speakers: bool) -> tuple[float, Interval]:
    """The accuracy and its interval: over speakers where they are new, over clips otherwise."""
    if not new_speakers:
        correct = int(proper["correct"].sum())
        return correct / len(proper), wilson_interval(correct, len(proper))
    return share_on_new_voices(proper["correct"].tolist(), proper["speaker"].tolist())


def digit_rows(scores: Scores) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each digit; None where there is nothing to divide by."""
    rows = []
    for label in vocabulary().labels:
        right = int(scores.confusion.loc[label, label])
        spoken = int(scores.confusion.loc[label].sum())
        answered = int(scores.confusion[label].sum())
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
