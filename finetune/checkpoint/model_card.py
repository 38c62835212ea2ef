"""The README.md of a checkpoint, in the Hugging Face model-card format."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping

from finetune.checkpoint.split_card import SplitCard
from finetune.corpus.in_noise import BACKGROUND
from finetune.intervals import wilson_interval
from inference.backends.table import CARD_NAME
from inference.prediction import OperatingPoint
from inference.vocabulary import vocabulary

_FSDD_LICENCE = """The Free Spoken Digit Dataset is licensed CC BY-SA 4.0 (Zohar Jackson and contributors);
no recording is part of this folder. Code and weights: Apache-2.0."""
_OTHER_LICENCE = "The licences of the recordings and of any weights that training started from apply."
_CLOSED_SET = "Closed set: any sound is answered with a digit."
_LIMITS = "## Limits\n\n"
_NOT_LEARNED = """ What the training speakers and
rooms did not show, the model has not learned.
"""
#: Figures of the test that another threshold changes.
_OF_THE_THRESHOLD = frozenset({"test_words_refused", "test_non_words", "test_non_words_shown"})
#: More speakers are counted, not named.
MAX_NAMES = 40
_PACKAGES = ("torch", "transformers", "scikit-learn", "numpy")


def model_card(
    title: str,
    command: str,
    corpus_description: str,
    split_caption: str,
    card: SplitCard,
    figures: Mapping[str, float],
    notes: str,
    operating_point: OperatingPoint | None = None,
) -> str:
    """Renders a card.

    Args:
        title: What the model is, one line.
        command: The command that made it.
        corpus_description: One sentence on the corpus.
        split_caption: What a figure on this split says.
        card: Speakers, seed and fingerprint.
        figures: Name -> value; ``PART_accuracy`` gets an interval where ``PART_clips`` is there as well.
        notes: What the figures rest on.
        operating_point: The operating point, of a checkpoint that has a threshold.

    Returns:
        Markdown with a YAML header.
    """
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {value:.4g} | {_interval(name, figures)} |"
        for name, value in figures.items()
    )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return f"""---
{_metadata(title, card, figures)}
---

# {title}

Recognises one word per clip, of {vocabulary().title}; the labels are {", ".join(vocabulary().labels)}.

## Data

{_recordings(card) or f"{corpus_description}."}
Split: {split_caption}; seed {card.seed}. Test fingerprint `{card.fingerprint}`;
the {len(card.train_clips)} clips learned from or chosen by are listed in `train_clips.txt`.

{_speakers(card)}

{_licences(card)}

## Figures

| figure | value | 95 % interval (Wilson, over clips) |
|---|---|---|
{rows}

{notes} The intervals say how far chance in the choice of clips reaches, for voices such as these; they say
nothing of other speakers.

## How it was made

```
{command}
```

Python {platform.python_version()}, {versions}, {platform.machine()} with {os.cpu_count()} CPUs.

{_LIMITS}{_refusals(operating_point)}{_NOT_LEARNED}"""


def rates_of(point: OperatingPoint) -> dict[str, float]:
    """The figures that an operating point has of its validation."""
    return {
        "validation_false_reject_rate": point.false_reject_rate or 0.0,
        "validation_false_accept_rate": point.false_accept_rate or 0.0,
        "reject_threshold": point.threshold or 0.0,
    }


def with_rates_of(point: OperatingPoint, figures: Mapping[str, float]) -> dict[str, float]:
    """The figures of a checkpoint with another operating point, without those of the test at the old one."""
    rates = rates_of(point)
    return {name: rates.get(name, value) for name, value in figures.items() if name not in _OF_THE_THRESHOLD}


def tell_operating_point(card: str, point: OperatingPoint, figures: Mapping[str, float]) -> str:
    """The text of a card with another operating point.

    Args:
        card: The text.
        point: The operating point.
        figures: Those of the checkpoint before.
    """
    now = with_rates_of(point, figures)
    for name, value in figures.items():
        row = f"| {name.replace('_', ' ')} | {value:.4g} |  |\n"
        if now.get(name) != value:
            new = f"| {name.replace('_', ' ')} | {now[name]:.4g} |  |\n" if name in now else ""
            card = card.replace(row, new)
    before, heading, limits = card.partition(_LIMITS)
    _, known, rest = limits.partition(_NOT_LEARNED)
    return f"{before}{heading}{_refusals(point)}{known}{rest}" if known else card


def _recordings(card: SplitCard) -> str:
    """A line for each corpus, where there are several."""
    if len(card.sources) < 2:
        return ""
    return "\n".join(f"- {source.use}: {source.description}" for source in card.sources) + "\n"


def _speakers(card: SplitCard) -> str:
    lines = [
        f"- {part} speakers: {', '.join(names) or 'none'}"
        if len(names) <= MAX_NAMES
        else f"- {part} speakers: {len(names)}, named in `{CARD_NAME}`"
        for part, names in (
            ("training", card.train_speakers),
            ("validation", card.validation_speakers),
            ("test", card.test_speakers),
        )
    ]
    if card.num_synthetic_clips:
        lines.append(f"- {card.num_synthetic_clips} clips of synthetic voices (espeak-ng), in training only")
    return "\n".join(lines)


def _licences(card: SplitCard) -> str:
    """What is owed to whom: what a ``NOTICE`` says, and what is known of FSDD."""
    known = [_FSDD_LICENCE] if card.corpus == "fsdd" else []
    if not _is_free(card):
        known.append(_OTHER_LICENCE)
    for source in card.sources:
        if source.notice:
            quoted = "\n".join(f"> {line}".rstrip() for line in source.notice.splitlines())
            known.append(f"{source.description}:\n\n{quoted}")
    return "\n\n".join(known)


def _is_free(card: SplitCard) -> bool:
    """Whether nothing but FSDD, whose licence is known, was learned from."""
    return card.corpus == "fsdd" and len(card.sources) < 2


def _metadata(title: str, card: SplitCard, figures: Mapping[str, float]) -> str:
    """The YAML header that the Hub reads."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="audio-classification",
            dataset_type=card.corpus,
            dataset_name=f"{card.corpus}, {card.protocol}",
            dataset_split="test",
            metric_type=metric,
            metric_value=round(figures[name], 4),
        )
        for name, metric in (("test_accuracy", "accuracy"), ("test_macro_f1", "f1"))
        if name in figures
    ]
    return ModelCardData(
        language="en",
        license="apache-2.0" if _is_free(card) else "other",
        pipeline_tag="audio-classification",
        tags=["audio-classification", *(["spoken-digits"] if vocabulary().is_digits else [])],
        metrics=["accuracy", "f1"],
        model_name=title,
        eval_results=results or None,
    ).to_yaml()


def _interval(name: str, figures: Mapping[str, float]) -> str:
    part, _, metric = name.partition("_")
    num_clips = int(figures.get(f"{part}_clips", 0))
    if metric != "accuracy" or not num_clips:
        return ""
    low, high, _method = wilson_interval(round(figures[name] * num_clips), num_clips)
    return f"{low:.3f} to {high:.3f}"


def _refusals(point: OperatingPoint | None) -> str:
    if point is None or point.threshold is None:
        return _CLOSED_SET
    least_db, most_db = BACKGROUND.snr_db
    return (
        f"Answers below a confidence of {point.threshold:.3f} (temperature {point.temperature:.2f}) "
        f"are refused: in validation {point.false_reject_rate:.1%} of {point.num_digits} digits, "
        f"while {point.false_accept_rate:.1%} of {point.num_others} sounds that are no digit were "
        f"shown as one, each heard as recorded and in noise of {least_db:g} to {most_db:g} dB. "
        "People and rooms will differ."
    )
