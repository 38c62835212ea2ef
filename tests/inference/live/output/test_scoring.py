"""Hits, misses, merges and false digits against labels, and the exit code of ``--require``."""

import pytest

import inference.live.__main__ as live
from inference.errors import UserError
from inference.live.engine.events import Score, Word
from inference.live.output.scoring import Label, Scorer, read_labels
from tests.inference.live.fakes import ConstantBackend, heard
from tests.inference.live.test_main import three_words  # noqa: F401 (a fixture)

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


def test_labels_are_read_in_seconds_and_sorted(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("start_s,end_s,digit\n2.0,2.5,7\n0.5,1.0,0\n")
    assert read_labels(str(path)) == [Label(8000, 16000, "0"), Label(32000, 40000, "7")]


@pytest.mark.parametrize(("content", "problem"), [
    ("start_s,end_s\n1,2\n", "line 2"),
    ("start_s,end_s,digit\n1,2,12\n", "1.25,1.71,7"),
    ("start_s,end_s,digit\nx,2,1\n", "line 2"),
    ("start_s,end_s,digit\n1,2,1\ninf,inf,1\n", "line 3"),
    ("start_s,end_s,digit\n1,nan,1\n", "line 2"),
    ("start_s,end_s,digit\n1,1e305,1\n", "line 2"),
    ("start_s,end_s,digit\n\n1,2,1\n2,1,1\n", "line 4"),
    ("start_s,end_s,digit\n", "no rows"),
    (None, "cannot be read"),
])  # fmt: skip
def test_bad_labels_are_refused_with_the_line(tmp_path, content, problem):
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=problem):
        read_labels(str(path))


@pytest.mark.parametrize(("require", "code"), [("0.3", 0), ("0.5", 1)])
def test_the_requirement_decides_the_exit_code(monkeypatch, tmp_path, capsys, three_words, require, code):  # noqa: F811
    monkeypatch.setattr(live, "load_backend", lambda *arguments: ConstantBackend())
    path = tmp_path / "labels.csv"
    path.write_text("start_s,end_s,digit\n0.8,1.1,7\n1.9,2.3,3\n3.0,3.4,5\n")
    arguments = ["--replay", three_words, "--detector", "energy", "--labels", str(path), "--require", require]
    assert live.main(arguments) == code
    assert "3 labelled digits: 1 hits, 2 wrong" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["--labels", "a.csv"], ["--replay", "a.wav", "--require", "0.9"], ["--min-score", "1.5"],
])  # fmt: skip
def test_options_that_make_no_sense_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        live.main(arguments)
    assert ended.value.code == 2
