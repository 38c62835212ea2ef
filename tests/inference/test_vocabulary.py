import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from inference.backends.table import load_backend
from inference.backends.transcripts import mapping_version, match_transcript
from inference.errors import CheckpointError, UserError
from inference.live.arguments import parse_arguments
from inference.vocabulary import (
    DIGITS,
    REJECT_LABEL,
    VARIABLE,
    VOCABULARY_FILE,
    Vocabulary,
    check_labels,
    read_vocabulary,
    use_vocabulary,
    use_vocabulary_of,
    vocabulary,
)

WORDS = "labels:\n  yes: [yes, yeah]\n  no: [no]\n  stop: [stop]\n  go: [go]\n"
CHECKPOINT = Path("a checkpoint/labels.json")


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of four words; what a test puts into use ends with it."""
    monkeypatch.setenv(VARIABLE, "")
    path = tmp_path / "words.yaml"
    path.write_text(WORDS)
    return path


def test_id_equals_digit() -> None:
    assert DIGITS.label2id == {str(digit): digit for digit in range(10)}
    assert DIGITS.id2label == {digit: str(digit) for digit in range(10)}
    assert DIGITS.is_digits
    assert DIGITS.symbol("7") == 7


def test_digits_and_words_are_accepted() -> None:
    check_labels(DIGITS.id2label, CHECKPOINT)
    check_labels({number: forms[0] for number, forms in enumerate(DIGITS.spoken_forms.values())}, CHECKPOINT)


def test_a_reject_class_may_stand_at_the_end() -> None:
    check_labels({**DIGITS.id2label, len(DIGITS.labels): REJECT_LABEL}, CHECKPOINT)


@pytest.mark.parametrize(
    "names",
    [
        dict(enumerate(reversed(DIGITS.labels))),
        {0: "LABEL_0", 1: "LABEL_1"},
        {**DIGITS.id2label, len(DIGITS.labels): "ten"},
        {},
    ],
)
def test_other_vocabularies_are_refused(names: dict[int, str]) -> None:
    with pytest.raises(CheckpointError, match=r"has the classes .* the vocabulary in use is .*--vocabulary"):
        check_labels(names, CHECKPOINT)


def test_a_file_is_used_by_this_process_and_its_children(words: Path) -> None:
    use_vocabulary(words)
    # Unquoted, YAML 1.1 takes the first two for truth values.
    assert vocabulary().labels == ("yes", "no", "stop", "go")
    assert vocabulary().label_of_name["yeah"] == "yes"
    assert vocabulary().symbol("stop") == "stop"
    child = "from inference.vocabulary import vocabulary; print(*vocabulary().labels)"
    asked = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert asked.stdout.split() == ["yes", "no", "stop", "go"]


def test_a_folder_keeps_its_vocabulary(words: Path, tmp_path: Path) -> None:
    use_vocabulary(words)
    kept = vocabulary()
    kept.save(tmp_path)
    use_vocabulary_of(tmp_path / "elsewhere")
    assert vocabulary() is DIGITS
    use_vocabulary_of(tmp_path)
    assert list(vocabulary().spoken_forms.items()) == list(kept.spoken_forms.items())
    DIGITS.save(tmp_path)
    assert not (tmp_path / VOCABULARY_FILE).exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("labels: {yes: [yes]}", "two labels or more"),
        ("labels: {yes: [yes], yes: [yeah], no: [no]}", "'yes' stands there twice"),
        ("labels: {yes: [yes, ja], no: [no, ja]}", "'ja' belongs to both yes and no"),
        ("labels: {yes: [yes], no: [yes]}", "'yes' belongs to both"),
        ("labels: {volume_up: [louder], no: [no]}", "'volume_up' is no label"),
        ("labels: {../up: [up], no: [no]}", "'../up' is no label"),
        ("labels: {Yes: [yes], no: [no]}", "'Yes' is no label"),
        ("labels: {none: [none], no: [no]}", "'none' is no label"),
        ("labels: {'7': ['7'], no: [no]}", "written out"),
        ("labels: {on: [turn on], off: [off]}", "one word"),
        ("labels: {yes: [], no: [no]}", "yes has no spoken form"),
        ("labels: {yes: yes, no: [no]}", "'yes' is no list of words"),
        ("labels: {yes: [yes], no: [no]}\nwords: 3", "holds labels, words"),
        ("labels: [yes, no]", "Expected, for example"),
        ("[yes, no]", "holds list"),
        ("", "Expected, for example"),
        ("labels: {", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_vocabulary_says_why(words: Path, content: str, complaint: str) -> None:
    words.write_text(content)
    with pytest.raises(UserError, match=r"--vocabulary .*words\.yaml") as caught:
        use_vocabulary(words)
    assert complaint in str(caught.value)
    assert vocabulary() is DIGITS  # what cannot be used changes nothing


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read: No such file"):
        read_vocabulary(tmp_path / "nowhere.yaml")


name = st.from_regex(r"[a-z][a-z0-9-]{0,5}", fullmatch=True).filter(lambda label: label != REJECT_LABEL)
form = st.text("abcdefgéñø", min_size=1, max_size=6)


@given(st.dictionaries(name, st.lists(form, min_size=1, max_size=3, unique=True), min_size=2, max_size=6))
def test_what_is_accepted_comes_back_the_same(tmp_path_factory, forms: dict[str, list[str]]) -> None:
    path = tmp_path_factory.mktemp("words") / VOCABULARY_FILE
    path.write_text(yaml.safe_dump({"labels": forms}, sort_keys=False, allow_unicode=True), encoding="utf-8")
    try:
        found = read_vocabulary(path)
    except UserError:
        names = [name for label, said in forms.items() for name in {label, *said}]
        assert len(names) != len(set(names))
        return
    found.save(path.parent)
    assert list(read_vocabulary(path).spoken_forms.items()) == [(k, tuple(v)) for k, v in forms.items()]


def test_the_order_tells_vocabularies_apart() -> None:
    forms = {"go": ("go",), "stop": ("stop",)}
    turned = dict(reversed(forms.items()))
    assert Vocabulary(forms).fingerprint != Vocabulary(turned).fingerprint


def test_transcripts_are_mapped_to_the_words_in_use(words: Path) -> None:
    version = mapping_version()
    use_vocabulary(words)
    assert mapping_version() != version
    assert match_transcript(" Yeah!").label == "yes"
    assert match_transcript("Stop, stop.").label == "stop"
    for text in ("7", "seven", "٧", "to", "-7", "yesterday"):
        assert match_transcript(text, accept_homophones=True).reason == "unknown_word", text


def test_a_word_that_announces_digits_may_be_a_label(words: Path) -> None:
    words.write_text("labels: {number: [number], letter: [letter]}")
    use_vocabulary(words)
    assert match_transcript("number").label == "number"


def test_numerals_outside_a_part_of_the_digits_are_unknown(words: Path) -> None:
    words.write_text("labels: {'0': [zero], '1': [one]}")
    use_vocabulary(words)
    assert match_transcript("1").label == "1"
    assert match_transcript("7").reason == "unknown_word"


def test_shipped_checkpoints_say_how_to_fit_another(words: Path) -> None:
    use_vocabulary(words)
    for name in ("mfcc", "mfcc-cnn", "logmel-dscnn", "speech-embedding", "wav2vec2", "whisper-encoder"):
        with pytest.raises(CheckpointError, match=r"fit_baseline --vocabulary .*words\.yaml"):
            load_backend(name)


def test_strings_are_for_digits(words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--string", "--vocabulary", str(words)])
    assert caught.value.code == 2
    assert "--string joins digits" in capsys.readouterr().err
