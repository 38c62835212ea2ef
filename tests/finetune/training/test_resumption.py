"""What a kill, a full disk or a changed option does to a run."""

import json
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState

from finetune import train
from finetune.checkpoint.writer import FIGURES_NAME
from finetune.corpus.loading import load_corpus
from finetune.training import resumption
from finetune.training.clip_trainer import EarlyStopping
from finetune.training.command_line import parse_arguments
from finetune.training.resumption import (
    checkpoint_to_resume,
    last_checkpoint,
    outcome_settings,
    require_space,
    write_failures_explained,
)
from finetune.training.waveform_cache import WaveformCache
from inference.errors import UserError
from tests.conftest import PROJECT


def unfinished(folder: Path, words: list[str]) -> None:
    """A folder as a kill leaves it: settings written down, one complete checkpoint."""
    (folder / "checkpoint-7").mkdir(parents=True)
    (folder / "checkpoint-7" / "trainer_state.json").write_text("{}")
    settings = outcome_settings(parse_arguments(words))
    (folder / "run_settings.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("learning_rate", "0.5"),
        ("per_device_train_batch_size", "3"),
        ("num_train_epochs", "9"),
        ("gradient_accumulation_steps", "2"),
        ("max_clip_ms", "1300"),
        ("seed", "7"),
        ("bf16", "true"),
    ],
)
def test_changed_option_is_named(config: Path, tmp_path: Path, capsys, option: str, value: str) -> None:
    words = ["--config", str(config), "--output_dir", str(tmp_path)]
    unfinished(tmp_path, words)
    assert train.main([*words, f"--{option}", value]) == 2
    message = capsys.readouterr().err
    assert "unfinished run with another" in message
    assert f" {option} (" in message


def test_options_without_effect_may_change(config: Path) -> None:
    words = ["--config", str(config)]
    other = [
        "--output_dir",
        "b",
        "--logging_steps",
        "3",
        "--save_total_limit",
        "5",
        "--report_to",
        "tensorboard",
    ]
    assert outcome_settings(parse_arguments(words)) == outcome_settings(parse_arguments([*words, *other]))


def test_torn_checkpoints_are_passed_over(tmp_path: Path) -> None:
    for step, state in ((5, "{}"), (10, '{"epoch": 1'), (20, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-mine").mkdir()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-5")


def test_where_training_goes_on(tmp_path: Path) -> None:
    assert checkpoint_to_resume(None, tmp_path) is checkpoint_to_resume("true", tmp_path) is None
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    earlier, last = (str(tmp_path / f"checkpoint-{step}") for step in (5, 10))
    for asked in (None, "true", "True", True):
        assert checkpoint_to_resume(asked, tmp_path) == last
    assert checkpoint_to_resume(earlier, tmp_path) == earlier


@pytest.mark.parametrize("asked", ["nowhere", "false", "."])
def test_a_wrong_place_to_go_on_from_is_named(config: Path, tmp_path: Path, capsys, asked: str) -> None:
    words = ["--config", str(config), "--output_dir", str(tmp_path / "run")]
    assert train.main([*words, "--resume_from_checkpoint", asked]) == 2
    error = capsys.readouterr().err
    assert f"--resume_from_checkpoint {asked} is no folder with a whole checkpoint" in error
    assert not (tmp_path / "run").exists()


def test_options_that_the_trainer_refuses_are_a_sentence(config: Path, tmp_path: Path, capsys) -> None:
    words = ["--config", str(config), "--output_dir", str(tmp_path), "--load_best_model_at_end", "true"]
    assert train.main([*words, "--eval_strategy", "no"]) == 2
    assert "options do not fit" in capsys.readouterr().err


def test_too_little_space_is_told_before_training(config: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(resumption, "BYTES_PER_PARAMETER", 10**12)
    assert train.main(["--config", str(config), "--output_dir", str(tmp_path)]) == 2
    assert re.search("has .* GB free, 3 checkpoints of this model take .* GB", capsys.readouterr().err)
    require_space(tmp_path, 0, 1)


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Every write beyond this fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Layers that are dropped in the only step have no optimizer state, and the file is smaller.
@pytest.mark.parametrize("num_bytes", [20_000, 160_000], ids=["weights", "optimizer"])
def test_full_disk_while_saving_leaves_nothing_torn(
    config: Path, spoken_corpus: Path, tmp_path: Path, capsys, num_bytes: int
) -> None:
    WaveformCache(load_corpus(str(spoken_corpus)).clips)  # larger than the limit
    output_dir = tmp_path / "out"
    words = ["--config", str(config), "--output_dir", str(output_dir), "--max_steps", "1"]
    with largest_file(num_bytes):
        assert train.main(words) == 2
    message = capsys.readouterr().err
    assert "cannot be written" in message
    assert "Traceback" not in message
    assert not list(output_dir.glob("checkpoint-*"))
    assert not (output_dir / "split_card.json").exists()


def test_other_failures_pass_through(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"), write_failures_explained(tmp_path):
        raise RuntimeError("shape mismatch")


def test_earlier_checkpoints_survive_a_full_disk(tmp_path: Path) -> None:
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-5" / "trainer_state.json").write_text("{}")
    with pytest.raises(UserError, match="it goes on from checkpoint-5"), write_failures_explained(tmp_path):
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


def state_after(*accuracies: float) -> TrainerState:
    history = [{"eval_accuracy": accuracy, "step": step} for step, accuracy in enumerate(accuracies)]
    return TrainerState(log_history=[{"loss": 1.0, "step": 0}, *history])


@pytest.mark.parametrize(
    ("accuracies", "stops"),
    [
        ([], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.5], True),
        ([0.5, 0.4, 0.6], False),
        ([0.1, 0.2, 0.3], False),
    ],
)
def test_stops_when_validation_no_longer_improves(config: Path, accuracies, stops: bool) -> None:
    arguments = parse_arguments(["--config", str(config)]).training
    control = TrainerControl()
    EarlyStopping(2).on_evaluate(arguments, state_after(*accuracies), control)
    assert control.should_training_stop == stops
    resumed = TrainerControl(should_evaluate=True, should_save=True)
    EarlyStopping(2).on_epoch_end(arguments, state_after(*accuracies), resumed)
    assert resumed.should_evaluate == resumed.should_save == (not stops)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_at_a_random_step_it_ends_the_same(config: Path, tmp_path: Path, seed: int) -> None:
    """Saves in the middle of epochs, so that order, variations and random states must be found again."""
    often = [
        word for name in ("save", "eval") for word in (f"--{name}_strategy", "steps", f"--{name}_steps", "5")
    ]
    steps = [*often, "--max_steps", "60"]
    command = [sys.executable, "-m", "finetune.train", "--config", str(config), *steps, "--output_dir"]
    subprocess.run([*command, str(tmp_path / "whole")], cwd=PROJECT, check=True, capture_output=True)
    killed = tmp_path / "killed"
    for step in sorted(random.Random(seed).sample(range(5, 51), 3)):  # of the last ten none: it must not end
        run = subprocess.Popen([*command, str(killed)], cwd=PROJECT, stdout=subprocess.DEVNULL)
        while run.poll() is None and _newest(killed) < step:
            time.sleep(0.02)
        run.kill()
        assert run.wait() == -signal.SIGKILL
    subprocess.run([*command, str(killed)], cwd=PROJECT, check=True, capture_output=True)
    whole, again = (
        json.loads((folder / FIGURES_NAME).read_text()) for folder in (tmp_path / "whole", killed)
    )
    assert again == whole
    losses = [
        [
            record["eval_loss"]
            for record in json.loads((folder / "history.json").read_text())
            if "eval_loss" in record
        ]
        for folder in (tmp_path / "whole", killed)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def _newest(folder: Path) -> int:
    return max((int(path.name.partition("-")[2]) for path in folder.glob("checkpoint-*")), default=0)
