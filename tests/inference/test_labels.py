import pytest

from inference.errors import CheckpointError
from inference.labels import LABELS, REJECT_LABEL, SPOKEN_FORMS, check_labels, id2label, label2id


def test_id_equals_digit() -> None:
    assert all(label2id[label] == int(label) and id2label[int(label)] == label for label in LABELS)


def test_no_form_names_two_labels() -> None:
    forms = [form for spoken in SPOKEN_FORMS.values() for form in spoken]
    assert len(forms) == len(set(forms))


def test_digits_and_words_are_accepted() -> None:
    check_labels(id2label, "a checkpoint")
    check_labels(
        {label_id: SPOKEN_FORMS[label][0].upper() for label_id, label in id2label.items()}, "a checkpoint"
    )


def test_a_reject_class_may_stand_at_the_end() -> None:
    check_labels({**id2label, len(LABELS): REJECT_LABEL}, "a checkpoint")


@pytest.mark.parametrize(
    "names",
    [
        dict(enumerate(reversed(LABELS))),
        {0: "LABEL_0", 1: "LABEL_1"},
        {**id2label, len(LABELS): "ten"},
        {},
    ],
)
def test_other_vocabularies_are_refused(names: dict[int, str]) -> None:
    with pytest.raises(CheckpointError, match=r"a checkpoint has the classes .* this vocabulary is"):
        check_labels(names, "a checkpoint")
