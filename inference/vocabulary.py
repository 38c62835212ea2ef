"""The vocabulary: its labels, their order and their spoken forms.

The ten digits unless ``--vocabulary FILE`` names other words. The position of a label is its class id
in every model, and for digits the two are equal by construction (``label_id == digit``). Nothing
else in the project spells the vocabulary out; everything asks ``vocabulary()`` when it needs to know.
"""

import argparse
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from inference.errors import CheckpointError, UserError

#: Names the file in use; child processes inherit it.
VARIABLE = "SPOKEN_DIGITS_VOCABULARY"
VOCABULARY_HELP = (
    f"YAML file of other words than the digits, see the README (default: ${VARIABLE}, else digits)"
)
#: Beside the weights of a checkpoint, and among results, whose words are not the digits.
VOCABULARY_FILE = "vocabulary.yaml"
#: The last class of a model that was also trained on sounds which are no word of the vocabulary.
REJECT_LABEL = "none"

#: Labels are parts of file names, also where case does not count; "_" parts them from the speaker.
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]*")
_EXAMPLE = "Expected, for example:\nlabels:\n  stop: [stop, halt]\n  go: [go]"


@dataclass(frozen=True)
class Vocabulary:
    """The words that are told apart.

    Attributes:
        spoken_forms: Label -> how it is said and written, the usual form first; in the order of the
            class ids.
    """

    spoken_forms: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        if len(self.spoken_forms) < 2:
            raise UserError(f"a vocabulary needs two labels or more, received {len(self.spoken_forms)}.")
        owners: dict[str, str] = {}
        for label, forms in self.spoken_forms.items():
            if not _LABEL.fullmatch(label) or label == REJECT_LABEL:
                raise UserError(
                    f"{label!r} is no label: expected lower-case letters, digits and '-', which are safe in "
                    f"file names, and not {REJECT_LABEL!r}, which stands for no word."
                )
            for form in forms:
                if not form.isalpha() or form != unicodedata.normalize("NFKC", form).casefold():
                    raise UserError(
                        f"label {label}: {form!r} is no spoken form: expected one word in lower-case "
                        "letters, written out ('seven', not '7')."
                    )
            if not forms:
                raise UserError(f"label {label} has no spoken form: name one, such as {label}: [word].")
            for name in {label, *forms}:
                if name in owners:
                    raise UserError(f"{name!r} belongs to both {owners[name]} and {label}: leave one out.")
                owners[name] = label

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of their class ids."""
        return tuple(self.spoken_forms)

    @cached_property
    def label2id(self) -> dict[str, int]:
        """Label -> class id."""
        return {label: label_id for label_id, label in enumerate(self.labels)}

    @cached_property
    def id2label(self) -> dict[int, str]:
        """Class id -> label."""
        return dict(enumerate(self.labels))

    @cached_property
    def label_of_word(self) -> dict[str, str]:
        """Spoken form -> label."""
        return {form: label for label, forms in self.spoken_forms.items() for form in forms}

    @cached_property
    def label_of_name(self) -> dict[str, str]:
        """Label or spoken form -> label."""
        return {**self.label_of_word, **{label: label for label in self.labels}}

    @cached_property
    def is_digits(self) -> bool:
        """Whether the labels are digits, which may be written as numerals and strung together."""
        return all(len(label) == 1 and label.isdigit() for label in self.labels)

    @cached_property
    def title(self) -> str:
        """What is recognised, for cards and pages."""
        return "spoken digits" if self.is_digits else f"the words {', '.join(self.labels)}"

    @cached_property
    def fingerprint(self) -> str:
        """Tells this vocabulary from others in the names of cached files."""
        return hashlib.sha256(json.dumps(list(self.spoken_forms.items())).encode()).hexdigest()[:12]

    def symbol(self, label: str) -> int | str:
        """What is shown for a label: a digit as a number, any other label as it is."""
        return int(label) if self.is_digits else label

    def save(self, folder: Path) -> None:
        """Writes ``VOCABULARY_FILE`` into a folder; what is about digits goes without."""
        from inference.files import write_text

        path = folder / VOCABULARY_FILE
        if self.fingerprint == DIGITS.fingerprint:
            path.unlink(missing_ok=True)
            return
        rows = [f"  {label}: [{', '.join(forms)}]" for label, forms in self.spoken_forms.items()]
        write_text(path, "\n".join(["labels:", *rows, ""]))


#: "oh" is safe because no class of its own bears it.
DIGITS = Vocabulary(
    {
        "0": ("zero", "oh", "o"),
        "1": ("one",),
        "2": ("two",),
        "3": ("three",),
        "4": ("four",),
        "5": ("five",),
        "6": ("six",),
        "7": ("seven",),
        "8": ("eight",),
        "9": ("nine", "niner"),
    }
)


def vocabulary() -> Vocabulary:
    """The vocabulary of this process and its children.

    Raises:
        UserError: If the file that ``SPOKEN_DIGITS_VOCABULARY`` names cannot be used.
    """
    path = os.environ.get(VARIABLE)
    return _read_once(path) if path else DIGITS


def use_vocabulary(path: Path) -> None:
    """Makes a file's vocabulary the one of this process and the children it starts from now on.

    Raises:
        UserError: If the file cannot be used.
    """
    read_vocabulary(path)
    os.environ[VARIABLE] = str(path.resolve())
    _read_once.cache_clear()


def use_vocabulary_of(folder: Path) -> None:
    """Makes the vocabulary kept in a checkpoint or among results the one of this process."""
    if (folder / VOCABULARY_FILE).is_file():
        use_vocabulary(folder / VOCABULARY_FILE)
    else:
        os.environ.pop(VARIABLE, None)


def checkpoint_argument(text: str) -> str:
    """An argparse type: a checkpoint as typed, or several joined by "+", ``NAME=`` before each if need be.

    The vocabulary that travels with one is in use from here on, unless another was named.
    """
    for part in (text, *(place.partition("=")[2] for place in text.split("+"))):
        own = Path(part, VOCABULARY_FILE)
        if part and not os.environ.get(VARIABLE) and own.is_file():
            use_vocabulary(own)
    return text


class UseVocabulary(argparse.Action):
    """An argparse action: the vocabulary is in use from here on, so that nothing need pass it along."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Reads the file; UserError if it cannot be used."""
        use_vocabulary(Path(str(values)))
        setattr(namespace, self.dest, values)


def add_vocabulary_argument(parser: argparse._ActionsContainer) -> None:
    """Adds ``--vocabulary``."""
    parser.add_argument(
        "--vocabulary",
        action=UseVocabulary,
        metavar="FILE",
        help=VOCABULARY_HELP,
    )


def read_vocabulary(path: Path) -> Vocabulary:
    """Reads a YAML file with ``labels``: label -> list of spoken forms.

    Raises:
        UserError: With what the file holds and what is expected.
    """
    # Imported here: digits need no file.
    import yaml

    class Text(yaml.BaseLoader):
        """Leaves every scalar as it is written: in YAML 1.1 an unquoted yes or no is a truth value."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names = [key.value for key, _ in node.value]
            for name in names:
                if names.count(name) > 1:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{name!r} stands there twice", node.start_mark
                    )
            return super().construct_mapping(node, deep)

    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=Text)
    except OSError as error:
        raise UserError(f"--vocabulary {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--vocabulary {path} is not valid YAML: {error}") from error
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or set(content) != {"labels"}:
        found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"--vocabulary {path} holds {found or 'nothing'}. {_EXAMPLE}")
    for label, forms in labels.items():
        if not isinstance(forms, list) or not all(isinstance(form, str) for form in forms):
            raise UserError(f"--vocabulary {path}: {label}: {forms!r} is no list of words. {_EXAMPLE}")
    try:
        return Vocabulary({label: tuple(forms) for label, forms in labels.items()})
    except UserError as error:
        raise UserError(f"--vocabulary {path}: {error}") from error


@lru_cache
def _read_once(path: str) -> Vocabulary:
    return read_vocabulary(Path(path))


def check_labels(names: Mapping[int, str], path: Path) -> None:
    """Compares a checkpoint's label names with the vocabulary in use.

    Spoken names ("zero", "one", ...) count as equal to the labels they name. A checkpoint may end
    with ``REJECT_LABEL``.

    Args:
        names: Class id -> name, as found in the checkpoint.
        path: The file that names them; the checkpoint is its folder.

    Raises:
        CheckpointError: If a class is missing, unknown or in another place.
    """
    found = tuple(str(names[label_id]).lower() for label_id in sorted(names))
    if found[-1:] == (REJECT_LABEL,):
        found = found[:-1]
    current = vocabulary()
    if tuple(current.label_of_name.get(name) for name in found) == current.labels:
        return
    own = path.parent / VOCABULARY_FILE
    if own.is_file():
        way_out = f"Leave --vocabulary (or ${VARIABLE}) out, or name its own: {own}"
    elif found == DIGITS.labels:
        way_out = (
            "Leave --vocabulary out, or fit a model of your words and name it with --checkpoint: "
            f"python -m finetune.fit_baseline --vocabulary {os.environ.get(VARIABLE)} --out runs/words"
        )
    else:
        way_out = (
            "Give these words as --vocabulary FILE, or fine-tune it on this vocabulary first: "
            "python -m finetune.train --help"
        )
    raise CheckpointError(
        f"{path} has the classes {list(found)}; the vocabulary in use is {list(current.labels)} in this "
        f"order. {way_out}"
    )
