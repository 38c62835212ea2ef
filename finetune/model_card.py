"""The README.md of a checkpoint, in the Hugging Face model-card format."""

import importlib.metadata
import platform

from finetune.split_card import SplitCard

_FSDD_LICENCE = """The Free Spoken Digit Dataset is licensed CC BY-SA 4.0 (Zohar Jackson and contributors);
no recording is part of this folder."""
_OTHER_LICENCE = "The licences of the recordings and of any weights that training started from apply."
_PACKAGES = ("torch", "transformers", "scikit-learn", "numpy")


def model_card(
    title: str,
    command: str,
    corpus_description: str,
    split_caption: str,
    card: SplitCard,
    figures: dict[str, float],
    notes: str,
) -> str:
    """Renders a card.

    Args:
        title: What the model is, one line.
        command: The command that made it.
        corpus_description: One sentence on the corpus.
        split_caption: What a figure on this split says.
        card: Speakers and fingerprint.
        figures: Name -> value; names ending in ``accuracy`` or ``f1`` are shares.
        notes: What the figures rest on.

    Returns:
        Markdown with a YAML header.
    """
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:.4g} |" for name, value in figures.items())
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    speakers = "\n".join(
        f"- {part} speakers: {', '.join(names)}"
        for part, names in (
            ("training", card.train_speakers),
            ("validation", card.validation_speakers),
            ("test", card.test_speakers),
        )
    )
    licence = _FSDD_LICENCE if card.corpus == "fsdd" else _OTHER_LICENCE
    return f"""---
pipeline_tag: audio-classification
tags:
- audio-classification
- spoken-digits
---

# {title}

Recognises one spoken English digit (0-9) per clip.

## Data

{corpus_description}.
Split: {split_caption}. Test fingerprint `{card.fingerprint}`;
the {len(card.train_clips)} clips learned from or chosen by are listed in `train_clips.txt`.

{speakers}

{licence}

## Figures

| figure | value |
|---|---|
{rows}

{notes}

## How it was made

```
{command}
```

Python {platform.python_version()}, {versions}, {platform.machine()}.

## Limits

Closed set: any sound is answered with a digit. What the training speakers and rooms did not show, the model
has not learned.
"""
