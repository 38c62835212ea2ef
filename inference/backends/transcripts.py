"""Text -> label, or None with the reason: how a free transcript is scored.

The rules were written down before any test transcript was seen, and they are strict: a recogniser
is credited for what it wrote, not for what it might have meant. The public English text normaliser
of Whisper does not serve here: it turns "007" into "7", "nine nine" into "99" and "(seven)" into "".
"""

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass

from inference.vocabulary import vocabulary

#: Rules that map a text to a digit.
EXACT, REPEATED, CARRIER, HOMOPHONE = "exact", "repeated", "carrier", "homophone"
#: Reasons why a text is no digit.
EMPTY, UNKNOWN_WORD = "empty", "unknown_word"
NOT_SINGLE_DIGIT, SEVERAL_DIGITS = "not_single_digit", "several_digits"

#: Words that sound like a digit and mean something else. Off unless asked for, and then a column
#: of its own: "to" is a wrong transcript of "two".
HOMOPHONES: dict[str, str] = {"to": "2", "too": "2", "for": "4", "fore": "4", "ate": "8", "won": "1"}
#: Words that may announce the digit.
CARRIER_WORDS = ("number", "digit")
#: Words for numbers that are not one digit; they get a reason of their own, never a label.
NUMBER_WORDS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),
    *("hundred", "thousand", "million", "zeroth", "first", "second", "third", "fourth", "fifth", "sixth"),
    *("seventh", "eighth", "ninth", "tenth"),
)
#: Punctuation that changes no meaning; signs, units and fractions ("-7", "7%", "1/2") are not among it.
NEUTRAL_PUNCTUATION = ".,!?;:¿¡\"'()[]{}«»‹›“”„‘’"
#: Raise it when the code below changes what any text maps to; the tables count by themselves.
_RULES_REVISION = 1

_BETWEEN_WORDS = re.compile(f"[{re.escape(NEUTRAL_PUNCTUATION)}_\u2010-\u2015-]+")
#: ".5" and ",5" are fractions; "...5" is a pause before a digit.
_LEADING_FRACTION = re.compile(r"[^.,\w]*[.,]\d")


@dataclass(frozen=True)
class TranscriptMatch:
    """What a transcript means in the vocabulary.

    Attributes:
        label: A label of the vocabulary, or None.
        reason: The rule that mapped the text (``exact``, ``repeated``, ``carrier``, ``homophone``),
            or why there is no label (``empty``, ``unknown_word``, ``not_single_digit``,
            ``several_digits``).
    """

    label: str | None
    reason: str


def mapping_version() -> str:
    """Stored with results, so that a stored label says which mapping made it."""
    words = vocabulary().label_of_word
    tables = (words, HOMOPHONES, CARRIER_WORDS, NUMBER_WORDS, NEUTRAL_PUNCTUATION, _RULES_REVISION)
    return hashlib.sha256(json.dumps(tables).encode()).hexdigest()[:12]


def match_transcript(text: str, accept_homophones: bool = False) -> TranscriptMatch:
    """Maps a recogniser's text to one label.

    Case, Unicode compatibility forms (NFKC) and neutral punctuation do not matter. Where the labels
    are digits, those of any script count; words of other languages, Roman numerals, numbers, signs and
    units do not.

    Args:
        text: The raw hypothesis.
        accept_homophones: Also map ``HOMOPHONES``; never the setting of a headline figure.

    Returns:
        The label with the rule that fired, or None with the reason.
    """
    tokens = _tokens(text)
    if not tokens:
        return TranscriptMatch(None, EMPTY)
    has_carrier = tokens[0] in CARRIER_WORDS and tokens[0] not in vocabulary().label_of_word
    labels = [_label(token, accept_homophones) for token in tokens[has_carrier:]]
    if UNKNOWN_WORD in labels or not labels:
        return TranscriptMatch(None, UNKNOWN_WORD)
    if NOT_SINGLE_DIGIT in labels:
        return TranscriptMatch(None, NOT_SINGLE_DIGIT)
    if len(set(labels)) > 1:
        return TranscriptMatch(None, SEVERAL_DIGITS)
    if any(token in HOMOPHONES and token not in vocabulary().label_of_word for token in tokens):
        return TranscriptMatch(labels[0], HOMOPHONE)
    if len(labels) > 1:
        return TranscriptMatch(labels[0], REPEATED)
    return TranscriptMatch(labels[0], CARRIER if has_carrier else EXACT)


def _tokens(text: str) -> list[str]:
    """Words without punctuation; a stretch with a numeral in it stays whole, sign and unit included."""
    tokens: list[str] = []
    for chunk in unicodedata.normalize("NFKC", text).casefold().split():
        if any(map(_is_numeral, chunk)):
            tokens.append(chunk if _LEADING_FRACTION.match(chunk) else chunk.strip(NEUTRAL_PUNCTUATION))
        else:
            tokens.extend(filter(None, _BETWEEN_WORDS.split(chunk)))
    return tokens


def _label(token: str, accept_homophones: bool) -> str:
    """The label of one token, or why it has none."""
    words = vocabulary()
    if token in words.label_of_word:
        return words.label_of_word[token]
    if accept_homophones and HOMOPHONES.get(token) in words.labels:
        return HOMOPHONES[token]
    if not words.is_digits:
        return UNKNOWN_WORD
    if len(token) == 1 and _is_numeral(token):
        # str.isdigit() and int() disagree on some characters; unicodedata knows the value of all.
        label = str(unicodedata.digit(token))
        return label if label in words.labels else UNKNOWN_WORD
    is_number = token in NUMBER_WORDS or any(map(_is_numeral, token))
    return NOT_SINGLE_DIGIT if is_number else UNKNOWN_WORD


def _is_numeral(character: str) -> bool:
    return unicodedata.digit(character, None) is not None
