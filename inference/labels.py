"""The vocabulary: ten digits, their order and their spoken forms.

The position of a label is its class id in every model, and for digits the two are equal by
construction (``label_id == digit``). Nothing else in the project spells the vocabulary out.
"""

from collections.abc import Mapping

from inference.errors import CheckpointError

#: Label -> spoken forms, the usual one first. "oh" is safe because no class of its own bears it.
SPOKEN_FORMS: dict[str, tuple[str, ...]] = {
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

LABELS: tuple[str, ...] = tuple(SPOKEN_FORMS)
label2id: dict[str, int] = {label: label_id for label_id, label in enumerate(LABELS)}
id2label: dict[int, str] = dict(enumerate(LABELS))

#: The last class of a model that was also trained on sounds which are no word of the vocabulary.
REJECT_LABEL = "none"


def check_labels(names: Mapping[int, str], source: str) -> None:
    """Compares a checkpoint's or a dataset's label names with the vocabulary.

    Spoken names ("zero", "one", ...) count as equal to the digits they name. A checkpoint may end
    with ``REJECT_LABEL``.

    Args:
        names: Class id -> name, as found in the checkpoint or dataset.
        source: Where the names come from, for the message.

    Raises:
        CheckpointError: If a class is missing, unknown or in another place.
    """
    found = tuple(str(names[label_id]).lower() for label_id in sorted(names))
    expected = LABELS
    if len(found) == len(expected) + 1 and found[-1] == REJECT_LABEL:
        found = found[:-1]
    if len(found) == len(expected) and all(
        name == label or name in SPOKEN_FORMS[label] for name, label in zip(found, expected, strict=True)
    ):
        return
    raise CheckpointError(
        f"{source} has the classes {list(found)}; this vocabulary is {list(expected)} in this order. "
        "Fine-tune it on this vocabulary first: python -m finetune.train --help"
    )
