"""The mapping from text to digit: a hand-written table and properties that hold for any text."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.backends import transcripts
from inference.backends.transcripts import TranscriptMatch, match_transcript
from inference.vocabulary import DIGITS

MAPPED = [
    # plain, as Whisper and grammars write it
    ("Seven.", "7", "exact"),
    ("SEVEN!", "7", "exact"),
    (" seven", "7", "exact"),
    ("7", "7", "exact"),
    ("7.", "7", "exact"),
    ("(seven)", "7", "exact"),
    ("[7]", "7", "exact"),
    ("“Three”", "3", "exact"),
    ("...four", "4", "exact"),
    ("…5", "5", "exact"),
    ("- Six.", "6", "exact"),
    ("eight—", "8", "exact"),
    ("zero", "0", "exact"),
    ("Oh.", "0", "exact"),
    ("O", "0", "exact"),
    ("niner", "9", "exact"),
    # digits of other scripts and compatibility forms
    ("７", "7", "exact"),
    ("٧", "7", "exact"),
    ("७", "7", "exact"),
    ("²", "2", "exact"),
    ("⑦", "7", "exact"),
    ("❼", "7", "exact"),
    ("ｓｉｘ", "6", "exact"),
    # repetition and announcement
    ("nine nine", "9", "repeated"),
    ("Nine, nine.", "9", "repeated"),
    ("one-one", "1", "repeated"),
    ("two 2", "2", "repeated"),
    ("number seven", "7", "carrier"),
    ("Digit: 4.", "4", "carrier"),
    ("number nine nine", "9", "repeated"),
]
UNMAPPED = [
    ("", "empty"),
    ("  \n", "empty"),
    (" ... ", "empty"),
    ("-", "empty"),
    # sound-alikes, other languages, hallucinations
    ("tree", "unknown_word"),
    ("free", "unknown_word"),
    ("sex", "unknown_word"),
    ("nein", "unknown_word"),
    ("heaven", "unknown_word"),
    ("sieben", "unknown_word"),
    ("七", "unknown_word"),
    ("sévén", "unknown_word"),
    ("VII", "unknown_word"),
    ("Ⅶ", "unknown_word"),
    ("you", "unknown_word"),
    ("Thank you.", "unknown_word"),
    ("[BLANK_AUDIO]", "unknown_word"),
    ("o'clock", "unknown_word"),
    ("seven%", "unknown_word"),
    ("minus seven", "unknown_word"),
    ("one more", "unknown_word"),
    ("number", "unknown_word"),
    ("seven number", "unknown_word"),
    # homophones, unless asked for
    ("to", "unknown_word"),
    ("For.", "unknown_word"),
    # numbers that are not one digit
    ("ten", "not_single_digit"),
    ("10", "not_single_digit"),
    ("007", "not_single_digit"),
    ("77", "not_single_digit"),
    ("seventh", "not_single_digit"),
    ("7th", "not_single_digit"),
    ("twenty-one", "not_single_digit"),
    ("0.5", "not_single_digit"),
    (".5", "not_single_digit"),
    ("(.5)", "not_single_digit"),
    ("½", "not_single_digit"),
    ("-7", "not_single_digit"),
    ("−7", "not_single_digit"),
    ("7%", "not_single_digit"),
    ("$7", "not_single_digit"),
    ("7-8", "not_single_digit"),
    # more than one digit
    ("seven eight", "several_digits"),
    ("seven,eight", "several_digits"),
    ("7 8", "several_digits"),
    ("oh one", "several_digits"),
]
CASES = [(text, TranscriptMatch(label, rule)) for text, label, rule in MAPPED]
CASES += [(text, TranscriptMatch(None, reason)) for text, reason in UNMAPPED]
FORMS = [form for forms in DIGITS.spoken_forms.values() for form in forms]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[repr(text) for text, _ in CASES])
def test_hand_written_table(text, expected):
    assert match_transcript(text) == expected


@pytest.mark.parametrize(
    ("text", "label"),
    [("to", "2"), ("Too!", "2"), ("for", "4"), ("fore", "4"), ("ate", "8"), ("won", "1"), ("to two", "2")],
)
def test_homophones_only_where_asked_for(text, label):
    assert match_transcript(text).label is None
    assert match_transcript(text, accept_homophones=True) == TranscriptMatch(label, "homophone")


def test_version_changes_with_the_outcomes():
    """Whoever changes what a text maps to also changes the version, and writes the new pair here."""
    outcomes = [(text, match_transcript(text).label, match_transcript(text).reason) for text, _ in CASES]
    digest = hashlib.sha256(json.dumps(outcomes).encode()).hexdigest()[:12]
    assert (transcripts.mapping_version(), digest) == ("88084f8cf475", "b52050440c68")


@given(st.text(), st.booleans())
def test_any_text_has_an_answer(text, accept_homophones):
    match = match_transcript(text, accept_homophones)
    rules = ("exact", "repeated", "carrier", "homophone")
    reasons = ("empty", "unknown_word", "not_single_digit", "several_digits")
    assert match.reason in (rules if match.label in DIGITS.labels else reasons)


@given(st.text(alphabet=st.characters(categories=["Nd", "No", "Nl", "P", "S", "Cs", "M"]), max_size=4))
def test_odd_characters_have_an_answer(text):
    assert match_transcript(text).label in (*DIGITS.labels, None)


@given(st.sampled_from(FORMS + list(DIGITS.labels)))
def test_label_of_a_form_maps_to_itself(form):
    label = match_transcript(form).label
    assert label is not None
    assert match_transcript(label) == TranscriptMatch(label, "exact")


@given(
    st.sampled_from(FORMS + list(DIGITS.labels)),
    st.text(alphabet=" ([{\"'“«¿¡", max_size=3),
    st.text(alphabet=" .,!?;:)]}\"'”»", max_size=4),
    st.sampled_from([str.upper, str.lower, str.title]),
)
def test_case_and_punctuation_do_not_matter(form, before, after, change_case):
    assert match_transcript(before + change_case(form) + after) == match_transcript(form)


@given(st.lists(st.sampled_from(FORMS), min_size=2, max_size=5))
def test_several_forms_map_only_if_they_agree(forms):
    labels = {match_transcript(form).label for form in forms}
    expected = (labels.pop(), "repeated") if len(labels) == 1 else (None, "several_digits")
    assert match_transcript(" ".join(forms)) == TranscriptMatch(*expected)


@given(st.integers(min_value=10, max_value=10**12))
def test_longer_numbers_are_never_a_digit(number):
    assert match_transcript(str(number)) == TranscriptMatch(None, "not_single_digit")


@given(st.text(max_size=8))
def test_homophones_change_no_strict_answer(text):
    strict = match_transcript(text)
    if strict.label is not None:
        assert match_transcript(text, accept_homophones=True) == strict
