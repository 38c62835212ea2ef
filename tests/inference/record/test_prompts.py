"""What is asked for: every take of every word once, in turns, and nothing that lies there."""

from pathlib import Path

from inference.record.prompts import missing_prompts
from inference.vocabulary import DIGITS


def names(prompts) -> list[str]:
    return [prompt.path.name for prompt in prompts]


def test_each_take_holds_every_word_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    prompts = missing_prompts("anna", 3, tmp_path)
    rounds = [names(prompts)[first : first + 10] for first in (0, 10, 20)]
    for index, round_ in enumerate(rounds):
        assert sorted(round_) == sorted(f"{label}_anna_{index}.wav" for label in DIGITS.labels)
    orders = {tuple(name[0] for name in round_) for round_ in rounds}
    assert len(orders) == 3
    assert missing_prompts("anna", 3, tmp_path) == prompts
    assert names(missing_prompts("anna", 3, tmp_path, seed=1)) != names(prompts)
    assert {prompt.text for prompt in prompts if prompt.path.name.startswith("7")} == {"say: seven"}


def test_what_lies_in_the_folder_is_not_asked_for_whatever_its_format(tmp_path: Path) -> None:
    wanted = names(missing_prompts("anna", 2, tmp_path))
    (tmp_path / "3_anna_0.wav").touch()
    (tmp_path / "4_anna_1.flac").touch()
    (tmp_path / "5_anna_1.wav.partial").touch()
    (tmp_path / "6_otto_0.wav").touch()
    left = names(missing_prompts("anna", 2, tmp_path))
    assert left == [name for name in wanted if name not in ("3_anna_0.wav", "4_anna_1.wav")]


def test_non_words_are_the_room_first_and_as_many_other_words_at_last(tmp_path: Path) -> None:
    words, others = tmp_path / "words", tmp_path / "others"
    prompts = missing_prompts("anna", 2, words, others)
    assert [prompt.is_silence for prompt in prompts] == [True] + 22 * [False]
    assert prompts[0].path == others / "room_anna_0.wav"
    assert [prompt.path for prompt in prompts[-2:]] == [others / f"none_anna_{index}.wav" for index in (0, 1)]
    assert "none of zero, one" in prompts[-1].text
