"""Several runs by one command: tables, choices, and no run done twice."""

import json
from pathlib import Path

import pytest

from finetune import train
from finetune.checkpoint.writer import FIGURES_NAME
from finetune.corpus.loading import load_corpus
from finetune.training.series import Series, over_folds, over_grid, over_seeds
from inference.backends.table import CARD_NAME
from inference.errors import UserError

SERIES = Series(command="train --it", settings={"learning_rate": 1.0})


class Fits:
    """Stands for training: writes the figures it is given and remembers the options."""

    def __init__(self, *accuracies: float):
        self._accuracies = list(accuracies)
        self.options: list[tuple[str, ...]] = []

    def __call__(self, options, folder: Path) -> None:
        self.options.append(tuple(options))
        accuracy = self._accuracies.pop(0)
        folder.mkdir(parents=True)
        figures = {"validation_accuracy": accuracy, "test_accuracy": accuracy - 0.1, "test_clips": 5}
        (folder / FIGURES_NAME).write_text(json.dumps(figures))
        (folder / CARD_NAME).write_text("{}")


def test_seeds_give_mean_and_spread(tmp_path: Path) -> None:
    fit = Fits(0.9, 0.7)
    over_seeds(fit, [3, 8], SERIES)(("--fold", "a"), tmp_path)
    assert fit.options == [("--fold", "a", "--seed", "3"), ("--fold", "a", "--seed", "8")]
    table = (tmp_path / "seeds.md").read_text()
    assert "| mean | 0.8000 | 0.7000 |" in table
    assert "| standard deviation | 0.1414 | 0.1414 |" in table
    assert SERIES.command in table
    assert json.loads((tmp_path / "seeds.json").read_text())["seeds"]["8"]["test_accuracy"] == pytest.approx(
        0.6
    )


def test_finished_runs_are_not_repeated_and_more_seeds_may_follow(tmp_path: Path) -> None:
    over_seeds(Fits(0.9, 0.7), [0, 1], SERIES)((), tmp_path)
    more = Fits(0.8)
    over_seeds(more, [0, 1, 2], SERIES)((), tmp_path)
    assert more.options == [("--seed", "2")]
    other = Series(SERIES.command, {"learning_rate": 2.0})
    with pytest.raises(UserError, match="another learning_rate"):
        over_seeds(Fits(), [0], other)((), tmp_path)


def test_grid_keeps_the_best_by_validation(tmp_path: Path) -> None:
    fit = Fits(0.5, 0.8, 0.8, 0.6)
    over_grid(fit, {"learning_rate": ["1", "2"], "weight_decay": ["0", "1"]}, SERIES)((), tmp_path)
    assert fit.options[1] == ("--learning_rate", "1", "--weight_decay", "1")
    assert json.loads((tmp_path / "grid.json").read_text())["chosen"] == "learning_rate=1,weight_decay=1"
    assert json.loads((tmp_path / FIGURES_NAME).read_text())["validation_accuracy"] == 0.8
    assert (tmp_path / CARD_NAME).is_file()


def test_folds_hold_each_speaker_out(spoken_corpus: Path, tmp_path: Path) -> None:
    corpus = load_corpus(str(spoken_corpus))
    fit = Fits(*[0.9] * len(corpus.speakers))
    over_seeds(over_folds(fit, corpus, SERIES), [0], SERIES)((), tmp_path)
    assert [options[-1] for options in fit.options] == list(corpus.speakers)
    assert "mean_accuracy" in (tmp_path / "seeds.md").read_text()
    assert (tmp_path / "seed-0" / "loso.md").is_file()


def test_command_line_trains_seeds_and_grid(config: Path, tmp_path: Path) -> None:
    options = ["--config", str(config), "--output_dir", str(tmp_path), "--max_steps", "1"]
    series = ["--seeds", "0", "1", "--grid", "learning_rate=1e-9"]
    assert train.main([*options[:2], *series, *options[2:]]) == 0
    assert "| seed 1 |" in (tmp_path / "seeds.md").read_text()
    point = tmp_path / "seed-1" / "learning_rate=1e-9"
    card = (point / "README.md").read_text()
    assert "--seed 1 --learning_rate 1e-9" in card
    assert "--grid" not in card
    assert not list(point.glob("checkpoint-*"))
    assert (tmp_path / "seed-1" / "model.safetensors").is_file()


def test_mistyped_grid_is_refused_before_training(config: Path, tmp_path: Path, capsys) -> None:
    for grid, message in (("learning_rat=1", "unknown options --learning_rat"), ("seed", "expected OPTION=")):
        words = ["--config", str(config), "--output_dir", str(tmp_path / "out"), "--grid", grid]
        assert train.main(words) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
