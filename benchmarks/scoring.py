"""Records of answers -> accuracy, macro F1, unmapped answers; text is mapped to a digit again here."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.records import Record
from finetune.intervals import Interval, exact_interval, speaker_interval, wilson_interval
from finetune.metrics import macro_f1
from inference.transcripts import match_transcript


@dataclass(frozen=True)
class Answer:
    """One scored clip; ``label`` is None where the backend gave no digit."""

    reference: str
    label: str | None
    speaker: str
    hypothesis: str | None = None

    @property
    def correct(self) -> bool:
        """Whether the answer is the digit spoken; no digit is an error."""
        return self.label == self.reference


@dataclass(frozen=True)
class Scores:
    """What a set of answers comes to.

    Attributes:
        n: Number of clips.
        accuracy: Share of right answers; the mean over speakers where speakers are the unit.
        interval: Its confidence interval.
        macro_f1: Mean F1 over the labels that occur as references.
        unmapped: Answers that are no digit; they count as errors above.
        unmapped_hypotheses: Raw text of unmapped answers with its count, most frequent first.
        accuracy_by_speaker: Speaker -> share of right answers.
    """

    n: int
    accuracy: float
    interval: Interval
    macro_f1: float
    unmapped: int
    unmapped_hypotheses: tuple[tuple[str, int], ...]
    accuracy_by_speaker: dict[str, float]


def read_answer(record: Record) -> Answer:
    """The answer that a record holds under the present mapping of text to digits."""
    hypothesis = record["hypothesis"]
    label = record["label"] if hypothesis is None else match_transcript(hypothesis).label
    return Answer(record["reference"], label, record["speaker"], hypothesis)


def score(answers: Sequence[Answer], speakers_are_the_unit: bool) -> Scores:
    """Scores the answers of one backend.

    Args:
        answers: One per clip, at least one.
        speakers_are_the_unit: True where the speakers were not trained on: the question is then how
            new voices fare, and the interval is taken over speakers.
    """
    by_speaker: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        by_speaker[answer.speaker].append(answer.correct)
    accuracy_by_speaker = {name: sum(hits) / len(hits) for name, hits in sorted(by_speaker.items())}
    correct = sum(answer.correct for answer in answers)
    accuracy = correct / len(answers)
    interval = wilson_interval(correct, len(answers))
    if speakers_are_the_unit and len(by_speaker) > 1:
        accuracies = list(accuracy_by_speaker.values())
        accuracy = sum(accuracies) / len(accuracies)
        # Speakers that do not differ at all give no estimate of how much speakers differ.
        differ = len(set(accuracies)) > 1
        interval = speaker_interval(accuracies) if differ else exact_interval(correct, len(answers))
    unmapped = [answer for answer in answers if answer.label is None]
    texts = Counter(answer.hypothesis for answer in unmapped if answer.hypothesis is not None)
    return Scores(
        n=len(answers),
        accuracy=accuracy,
        interval=interval,
        macro_f1=macro_f1([a.label for a in answers], [a.reference for a in answers]),
        unmapped=len(unmapped),
        unmapped_hypotheses=tuple(sorted(texts.items(), key=lambda item: (-item[1], item[0]))),
        accuracy_by_speaker=accuracy_by_speaker,
    )
