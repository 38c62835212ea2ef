"""The command that lists and fetches."""

from inference.weights.__main__ import main
from inference.weights.fetching import find_weights


def test_the_command_lists_and_fetches(index, capsys) -> None:
    assert main([]) == 0
    assert "toy\tnot here\t0 MB\towner/toy\tMIT licence" in capsys.readouterr().out
    assert main(["toy"]) == 0
    assert str(find_weights("toy")) in capsys.readouterr().out
    assert main(["small.fr"]) == 2
    assert "no weights are called 'small.fr'; choose from: tiny.en, base, toy" in capsys.readouterr().err
