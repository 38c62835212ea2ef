"""The words of a session against a list of what was said."""

import bisect
from dataclasses import dataclass

from inference.live.engine.events import Event, Word


@dataclass(frozen=True)
class Label:
    """One word that was really said; positions count samples at 16 kHz."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Score:
    """Answers compared with labelled words.

    Attributes:
        labels: Words that were said.
        hits: Of these, answered with the right label.
        wrong: Answered with another label.
        rejected: Answered with a reject.
        merged: Heard only as part of a neighbour.
        missed: Not heard at all; the five counts sum to ``labels``.
        false_digits: Labels printed where none was said.
        duplicates: Further answers to a word that was answered already.
    """

    labels: int
    hits: int
    wrong: int
    rejected: int
    merged: int
    missed: int
    false_digits: int
    duplicates: int


class Scorer:
    """An output that keeps the words and compares them with the labels at the end.

    Args:
        labels: In order of time, without overlap.
    """

    def __init__(self, labels: list[Label]):
        self._labels = labels
        self._words: list[Word] = []

    def show(self, event: Event) -> None:
        """Keeps words."""
        if isinstance(event, Word):
            self._words.append(event)

    def score(self) -> Score:
        """Counts each label once, by the first answer that lies mostly on it, else by the first reject.

        What is refused beside an answer, a click before the word, was shown to nobody and is no duplicate.
        """
        first_heard: dict[int, Word] = {}
        answered_labels: set[int] = set()
        touched: set[int] = set()
        duplicates = false_digits = 0
        for word in self._words:
            overlaps = self._overlaps(word)
            touched |= overlaps.keys()
            if not overlaps:
                false_digits += word.answer.label is not None
                continue
            best = max(overlaps, key=lambda index: overlaps[index])
            if word.answer.label is None:
                first_heard.setdefault(best, word)
            elif best in answered_labels:
                duplicates += 1
            else:
                first_heard[best] = word
                answered_labels.add(best)
        answered = [(self._labels[index].label, word.answer.label) for index, word in first_heard.items()]
        return Score(
            labels=len(self._labels),
            hits=sum(said == heard for said, heard in answered),
            wrong=sum(heard is not None and said != heard for said, heard in answered),
            rejected=sum(heard is None for _, heard in answered),
            merged=len(touched) - len(first_heard),
            missed=len(self._labels) - len(touched),
            false_digits=false_digits,
            duplicates=duplicates,
        )

    def _overlaps(self, word: Word) -> dict[int, int]:
        """Index of each label that the word's interval touches -> samples in common."""
        index = bisect.bisect_right(self._labels, word.start, key=lambda label: label.end)
        overlaps = {}
        while index < len(self._labels) and self._labels[index].start < word.end:
            label = self._labels[index]
            overlaps[index] = min(label.end, word.end) - max(label.start, word.start)
            index += 1
        return overlaps
