"""Which clips a model learns from, is chosen by and measured on: the options that every training shares."""

import argparse
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from finetune.corpus.clip import Clip, Corpus, CorpusSource
from finetune.corpus.in_noise import in_noise
from finetune.corpus.loading import DATASET_HELP, environment_prefix
from finetune.corpus.mixture import (
    at_most_per_label,
    load_corpora,
    read_notice,
    refuse_shared_recordings,
)
from finetune.corpus.non_words import non_words, recorded_non_words
from finetune.corpus.splits import PROTOCOLS, Split, fingerprint, make_split
from finetune.corpus.synthetic import with_synthetic
from finetune.soft_labels import SoftLabeller, load_soft_labeller
from inference.backends.table import check_options
from inference.errors import UserError
from inference.vocabulary import REJECT_LABEL, VOCABULARY_HELP, vocabulary

#: Fewest sounds that are no digit in a part that is measured: they decide how finely a rate is known.
MIN_NON_WORDS = 300


def _several(text: str) -> dict[str, str]:
    """An option of one or more values, which may also be repeated."""
    return {"help": text, "action": "extend"}


@dataclass
class DataArguments:
    """Which clips, and how they are split."""

    dataset: list[str] | None = field(
        default=None,
        metadata=_several(
            f"one or more of: {DATASET_HELP}; the first is split, the others are only learned from"
        ),
    )
    vocabulary: str | None = field(default=None, metadata={"help": VOCABULARY_HELP})
    max_clips_per_label: int | None = field(
        default=None,
        metadata={"help": "learn from so many clips of each label and dataset at most, of many speakers"},
    )
    protocol: str = field(default="official", metadata={"help": ", ".join(PROTOCOLS)})
    fold: str | None = field(
        default=None, metadata={"help": "held-out speaker of the protocol loso (default: each in turn)"}
    )
    split_seed: int = field(default=0, metadata={"help": "seed of the split"})
    validation_dataset: list[str] | None = field(
        default=None,
        metadata=_several(
            "validate on these instead of on clips of the first dataset, which are then learned from"
        ),
    )
    skip_validation: bool = field(
        default=False,
        metadata={"help": "learn from the validation clips as well, without figures on clips not heard"},
    )
    synthetic_share: float = field(
        default=0.0, metadata={"help": "share of the training clips that are synthetic voices (espeak-ng)"}
    )
    reject: bool = field(
        default=False,
        metadata={
            "help": "train a class 'none' on other words, broken digits and noise, and calibrate when an "
            "answer is refused; wants --synthetic_share too, or 'none' means synthetic speech"
        },
    )
    reject_share: float = field(
        default=0.2, metadata={"help": "with --reject: share of 'none' among the clips"}
    )
    non_words: list[str] | None = field(
        default=None,
        metadata=_several("with --reject: folders of recordings that are no word of the vocabulary"),
    )
    validation_non_words: list[str] | None = field(
        default=None,
        metadata=_several(
            "with --reject: validate and calibrate on these sounds alone (default: made ones, and a part of "
            "--non_words)"
        ),
    )
    soft_labels_from: str | None = field(
        default=None,
        metadata={
            "help": "BACKEND or BACKEND=CHECKPOINT: a network learns half from the labels, half from what "
            "this recogniser answers to the training clips"
        },
    )
    max_false_accept_rate: float | None = field(
        default=None,
        metadata={
            "help": "with --reject: choose the threshold that shows at most this share of other sounds as a "
            "word, with 95 %% confidence by the validation sounds (default: the one that refuses 2 words "
            "of 100)"
        },
    )

    def __post_init__(self) -> None:
        self.dataset = self.dataset or ["auto"]
        if self.reject and self.skip_validation:
            raise UserError("--reject is calibrated on validation clips: leave --skip_validation out.")
        if self.validation_dataset and self.skip_validation:
            raise UserError("--validation_dataset is for validation: leave --skip_validation out.")
        for name in ("non_words", "validation_non_words", "max_false_accept_rate"):
            if getattr(self, name) is not None and not self.reject:
                raise UserError(f"--{name} goes with --reject.")
        if self.soft_labels_from is not None:
            check_options(self.soft_labels_from.partition("=")[0], {})
        if not 0.0 < self.reject_share < 1.0:
            raise UserError(f"--reject_share {self.reject_share}: expected a share above 0 and below 1.")
        if self.max_false_accept_rate is not None and not 0.0 < self.max_false_accept_rate < 1.0:
            raise UserError(
                f"--max_false_accept_rate {self.max_false_accept_rate}: expected a share above 0 and below 1."
            )
        if self.max_clips_per_label is not None and self.max_clips_per_label < 1:
            raise UserError(f"--max_clips_per_label {self.max_clips_per_label}: expected 1 or more.")
        if self.protocol not in PROTOCOLS:
            raise UserError(f"--protocol {self.protocol} is unknown; choose one of: {', '.join(PROTOCOLS)}.")
        if self.fold is not None and self.protocol != "loso":
            raise UserError(f"--fold {self.fold} goes with --protocol loso, not with {self.protocol}.")

    @property
    def datasets(self) -> list[str]:
        """What is learned from; the first is split."""
        return self.dataset or ["auto"]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the model's outputs, in order."""
        labels = vocabulary().labels
        return (*labels, REJECT_LABEL) if self.reject else labels

    @property
    def all_folds(self) -> bool:
        """Whether each speaker is to be held out in turn."""
        return self.protocol == "loso" and self.fold is None

    @property
    def environment_prefix(self) -> str:
        """What must stand before a command to find the same corpora."""
        return environment_prefix("auto" if "auto" in self.datasets else self.datasets[0])


def add_data_arguments(
    parser: argparse.ArgumentParser, defaults: Mapping[str, Any], names: Container[str] | None = None
) -> None:
    """Adds an option for each field of ``DataArguments`` but the vocabulary.

    Args:
        parser: Where they go.
        defaults: Field -> another default than its own.
        names: Only these fields; all if None.
    """
    hints = get_type_hints(DataArguments)
    for option in fields(DataArguments):
        if option.name == "vocabulary" or (names is not None and option.name not in names):
            continue
        hint, default = hints[option.name], defaults.get(option.name, option.default)
        details: dict[str, Any] = {"default": default, **option.metadata}
        if get_origin(hint) is UnionType:
            hint = get_args(hint)[0]
        if hint is bool:
            details["action"] = "store_true"
        elif get_origin(hint) is list:
            details |= {"nargs": "+", "metavar": "DATASET" if "dataset" in option.name else "FOLDER"}
        else:
            details["type"] = hint
        if option.name == "protocol":
            details["choices"] = PROTOCOLS
        if default is not None and hint is not bool:
            details["help"] += " (default: %(default)s)"
        parser.add_argument(f"--{option.name.replace('_', '-')}", **details)


@dataclass(frozen=True)
class TrainingData:
    """The clips of one training.

    Attributes:
        corpora: All of them; the first is the one that the protocol split.
        split: What is learned from, validated and tested on.
        non_words: Sounds of the reject class for each part of the split; none without that class.
        recorded_non_words: Those among the first two parts that somebody recorded.
        sources: What the cards tell of it.
        validation_apart: Whether validation clips come from corpora of their own.
        soft_labeller: The teacher that adds to the labels, if any.
    """

    corpora: tuple[Corpus, ...]
    split: Split
    non_words: Mapping[str, tuple[Clip, ...]]
    recorded_non_words: tuple[Clip, ...]
    sources: tuple[CorpusSource, ...]
    validation_apart: bool
    soft_labeller: SoftLabeller | None = None

    @property
    def training_clips(self) -> tuple[Clip, ...]:
        """Everything to learn from."""
        return (*self.split.training_clips, *self.non_words["train"])

    @property
    def fingerprint(self) -> str:
        """Hash of all that changes what is learned or chosen."""
        split = self.split
        return fingerprint((*split.training_clips, *split.validation, *self.recorded_non_words))

    @property
    def description(self) -> str:
        """One sentence on the corpora, one on the split."""
        return f"{'; '.join(source.description for source in self.sources)}; {self.split.caption}"

    def calibration_clips(self) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
        """Validation words, and sounds that are none, each as recorded and in noise."""
        words, others = self.split.validation, self.non_words["validation"]
        return (*words, *in_noise(words)), (*others, *in_noise(others))


def gather(arguments: DataArguments) -> TrainingData:
    """Loads, splits, caps and completes the clips that were asked for.

    Raises:
        CorpusError: If a corpus cannot be used, or a recording would be learned from and measured on.
    """
    validation_datasets = arguments.validation_dataset or []
    corpora = load_corpora([*arguments.datasets, *validation_datasets])
    num_learned = len(arguments.datasets)
    split = make_split(corpora[0].clips, arguments.protocol, arguments.split_seed, arguments.fold)
    if validation_datasets:
        validation = tuple(clip for corpus in corpora[num_learned:] for clip in corpus.clips)
        split = replace(split.without_validation(), validation=validation)
    elif arguments.skip_validation:
        split = split.without_validation()
    parts = (split.train, *(corpus.clips for corpus in corpora[1:num_learned]))
    capped = (at_most_per_label(part, arguments.max_clips_per_label, arguments.split_seed) for part in parts)
    split = replace(split, train=tuple(clip for part in capped for clip in part))
    recorded = _recorded(arguments)
    if len(corpora) > 1:
        refuse_shared_recordings(split.train, (*split.validation, *split.test))
    if arguments.validation_non_words:
        refuse_shared_recordings(recorded["train"], recorded["validation"])
    split = with_synthetic(split, arguments.synthetic_share, corpora[0].name)
    return TrainingData(
        corpora,
        split,
        _non_words(arguments, split, recorded),
        (*recorded["train"], *recorded["validation"]),
        _sources(arguments, corpora, recorded),
        validation_apart=bool(validation_datasets),
        soft_labeller=_soft_labeller(arguments, corpora[0], split),
    )


def _soft_labeller(arguments: DataArguments, corpus: Corpus, split: Split) -> SoftLabeller | None:
    if arguments.soft_labels_from is None:
        return None
    new_speakers = arguments.protocol != "official"
    return load_soft_labeller(arguments.soft_labels_from, arguments.classes, corpus, split.test, new_speakers)


def _recorded(arguments: DataArguments) -> dict[str, tuple[Clip, ...]]:
    """Recorded sounds of each part: folders of their own for validation, or a share of the speakers."""
    folders, validation = arguments.non_words or [], arguments.validation_non_words or []
    if validation:
        return {
            "train": recorded_non_words(folders),
            "validation": recorded_non_words(validation),
            "test": (),
        }
    return {part: recorded_non_words(folders, part) for part in ("train", "validation", "test")}


def _non_words(
    arguments: DataArguments, split: Split, recorded: Mapping[str, tuple[Clip, ...]]
) -> dict[str, tuple[Clip, ...]]:
    """Sounds of the reject class for each part."""
    found: dict[str, tuple[Clip, ...]] = {}
    for part in ("train", "validation", "test"):
        words = getattr(split, part)
        share = round(len(words) * arguments.reject_share / (1 - arguments.reject_share))
        number = max(share, 1) if part == "train" else max(len(words) // 4, MIN_NON_WORDS)
        if not arguments.reject or not words:
            found[part] = ()
        elif part == "validation" and arguments.validation_non_words:
            found[part] = recorded[part]
        else:
            found[part] = non_words(words, part, number, recorded[part])
    return found


def _sources(
    arguments: DataArguments, corpora: tuple[Corpus, ...], recorded: Mapping[str, tuple[Clip, ...]]
) -> tuple[CorpusSource, ...]:
    datasets = [*arguments.datasets, *(arguments.validation_dataset or [])]
    num_learned = len(arguments.datasets)
    uses = ["split", *["learned from"] * (num_learned - 1), *["validation"] * (len(datasets) - num_learned)]
    sources = [
        CorpusSource(use, corpus.description, read_notice(dataset))
        for use, corpus, dataset in zip(uses, corpora, datasets, strict=True)
    ]
    teacher, _, folder = (arguments.soft_labels_from or "").partition("=")
    teachers = (
        [CorpusSource("soft labels", " ".join((teacher, Path(folder).name)).strip())] if teacher else []
    )
    return (
        *sources,
        *non_word_sources("non-words", arguments.non_words or []),
        *non_word_sources("validation non-words", arguments.validation_non_words or []),
        *teachers,
    )


def non_word_sources(use: str, folders: Sequence[str]) -> tuple[CorpusSource, ...]:
    """What cards tell of folders of other words."""
    return tuple(
        CorpusSource(
            use,
            f"{len(recorded_non_words([folder]))} recordings of other words from the folder "
            f"{Path(folder).name}",
            read_notice(folder),
        )
        for folder in folders
    )
