"""Hits, misses, merges and false digits against labels."""

from benchmarks.live.scoring import Label, Score, Scorer
from inference.live.engine.events import Word
from tests.inference.live.fakes import heard

LABELS = [Label(1000, 2000, "1"), Label(3000, 4000, "2"), Label(5000, 6000, "3")]


def word(start: int, end: int, label: str | None) -> Word:
    return heard(label, start, end, reason="low_score" if label is None else None)


def score(*words: Word) -> Score:
    scorer = Scorer(LABELS)
    for one in words:
        scorer.show(one)
    return scorer.score()


def test_a_perfect_replay():
    found = score(word(900, 2100, "1"), word(3000, 4000, "2"), word(5100, 5900, "3"))
    assert found == Score(3, hits=3, wrong=0, rejected=0, merged=0, missed=0, false_digits=0, duplicates=0)


def test_each_kind_of_mistake_is_counted_once():
    found = score(word(900, 2100, "7"), word(3000, 4000, None), word(2100, 2900, "4"), word(7000, 8000, None))
    assert found == Score(3, hits=0, wrong=1, rejected=1, merged=0, missed=1, false_digits=1, duplicates=0)


def test_one_answer_over_two_digits_is_one_hit_and_one_merge():
    found = score(word(900, 3900, "1"))
    assert (found.hits, found.merged, found.missed) == (1, 1, 1)


def test_a_click_that_is_refused_beside_a_word_is_no_answer_to_it():
    click = word(1000, 1100, None)
    for found in (score(click, word(1300, 2000, "1")), score(word(1200, 2000, "1"), click)):
        assert (found.hits, found.rejected, found.duplicates) == (1, 0, 0)


def test_two_answers_to_one_digit_are_a_duplicate_and_the_first_counts():
    found = score(word(1000, 1400, "1"), word(1500, 2000, "9"))
    assert (found.hits, found.wrong, found.duplicates) == (1, 0, 1)
