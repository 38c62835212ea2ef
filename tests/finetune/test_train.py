"""The fine-tuning command as a user runs it: real processes, a tiny network, synthetic voices."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from finetune import train
from finetune.checkpoint.split_card import read_split_card
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from finetune.training.command_line import parse_arguments
from finetune.training.modeling import build_model
from inference.backends.table import load_backend
from inference.errors import CheckpointError, UserError
from tests.conftest import PROJECT
from tests.finetune.conftest import BATCH, NUM_EPOCHS, TORCH

LAUNCH = (sys.executable, "-m", "accelerate.commands.launch")
TWO_PROCESSES = (*LAUNCH, "--multi_gpu", "--num_processes", "2", "--main_process_port", "0")


def launch(config: Path, output_dir: Path, *launcher: str, options: tuple[str, ...] = ()) -> list[dict]:
    """Trains in a child process and returns the history of the finished checkpoint."""
    command = [*launcher, "--config", str(config), "--output_dir", str(output_dir), *options]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads((output_dir / "history.json").read_text())


@pytest.fixture(scope="module")
def one_process(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("run") / "one"
    launch(config, output_dir, *LAUNCH, "--num_processes", "1", "finetune/train.py")
    return output_dir


@pytest.fixture(scope="module")
def two_processes(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that note the epoch of every clip they vary."""
    folder = tmp_path_factory.mktemp("pair")
    script = folder / "train_and_note_epochs.py"
    script.write_text(
        "import os, sys\n"
        "from finetune import train; from finetune.training import clip_dataset\n"
        "vary = clip_dataset.ClipDataset._vary\n"
        "def noting(clips, *clip):\n"
        f"    with open({str(folder)!r} + '/epochs-' + os.environ['RANK'], 'a') as notes:\n"
        "        notes.write(f'{clips.epoch} ')\n"
        "    return vary(clips, *clip)\n"
        "clip_dataset.ClipDataset._vary = noting\n"
        "sys.exit(train.main())\n"
    )
    launch(config, folder / "two", *TWO_PROCESSES, str(script))
    return folder / "two"


def last_step(history: list[dict]) -> int:
    return max(record["step"] for record in history)


def losses(history: list[dict]) -> list[float]:
    return [record["loss"] for record in history if "loss" in record]


def validation_losses(history: list[dict]) -> list[float]:
    return [record["eval_loss"] for record in history if "eval_loss" in record]


def test_checkpoint_is_complete_and_works(one_process: Path, spoken_corpus: Path) -> None:
    files = {path.name for path in one_process.iterdir() if path.is_file()}
    assert files >= {
        "model.safetensors",
        "config.json",
        "preprocessor_config.json",
        "labels.json",
        "crop.json",
    }
    assert files >= {"split_card.json", "train_clips.txt", "README.md", "history.json"}
    assert not {path for path in files if path.endswith((".bin", ".pt", ".pkl"))}
    split = make_split(load_corpus(str(spoken_corpus)).clips)
    card = read_split_card(one_process)
    assert card is not None
    assert card.fingerprint == split.fingerprint
    assert card.train_clips == {clip.clip_id for clip in (*split.train, *split.validation)}
    backend = load_backend("wav2vec2", str(one_process), options=TORCH)
    (prediction,) = backend.predict([split.test[0].waveform()])
    assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-5)
    history = json.loads((one_process / "history.json").read_text())
    card_text = (one_process / "README.md").read_text()
    assert "finetune/train.py --config" in card_text
    best = max(record["eval_accuracy"] for record in history if "eval_accuracy" in record)
    assert f"| validation accuracy | {best:.4g} |" in card_text
    assert "| test accuracy |" in card_text
    assert "| best epoch |" in card_text


def test_the_plain_library_gives_the_same_answers(one_process: Path, spoken_corpus: Path) -> None:
    """By ``pipeline``, as the Hub's page and other people's code load a checkpoint."""
    from transformers import pipeline

    from inference.vocabulary import DIGITS

    clips = make_split(load_corpus(str(spoken_corpus)).clips).test[::9]
    # Shorter ones are padded here, as crop.json says; the library does not read it.
    waveforms = [waveform for clip in clips if (waveform := clip.waveform()).size >= 4000]
    assert len(waveforms) > 5
    backend = load_backend("wav2vec2", str(one_process), options=TORCH | {"precision": "fp32"})
    classifier = pipeline("audio-classification", str(one_process), top_k=None)
    answers = classifier([waveform.copy() for waveform in waveforms], batch_size=1)
    for prediction, answer in zip(backend.predict(waveforms), answers, strict=True):
        found = {entry["label"]: entry["score"] for entry in answer}
        assert [found[label] for label in DIGITS.labels] == pytest.approx(prediction.probabilities, abs=1e-4)
        assert max(found, key=found.__getitem__) == prediction.label


def test_two_processes_take_half_the_steps_and_equal_losses(
    one_process: Path, two_processes: Path, spoken_corpus: Path
) -> None:
    two, one = (json.loads((folder / "history.json").read_text()) for folder in (two_processes, one_process))
    assert last_step(two) == last_step(one) / 2
    # Untrained, both start at ln 10 = 2.3; a loss scaled by the number of processes would be 4.6.
    assert losses(two)[0] == pytest.approx(losses(one)[0], rel=0.15)
    backend = load_backend("wav2vec2", str(two_processes), options=TORCH)
    assert backend.predict([load_corpus(str(spoken_corpus)).clips[0].waveform()])[0].label is not None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_learn_as_much_as_one(config: Path, tmp_path: Path) -> None:
    """Equal batches in all, equal epochs: validation accuracies of 40 clips differ by chance alone."""
    options = ("--num_train_epochs", "40", "--augment", "false", "--early_stopping_patience", "0")
    whole = (*options, "--per_device_train_batch_size", str(2 * BATCH))
    single = launch(config, tmp_path / "one", *LAUNCH, "finetune/train.py", options=whole)
    pair = launch(config, tmp_path / "two", *TWO_PROCESSES, "finetune/train.py", options=options)
    accuracies = [history[-1]["validation_accuracy"] for history in (single, pair)]
    assert min(accuracies) > 0.25  # chance is 0.1
    # Four standard errors of the difference of two shares of 40 clips.
    assert abs(accuracies[0] - accuracies[1]) <= 4 * (2 * 0.25 / 40) ** 0.5


def test_goes_on_after_a_kill_and_ends_the_same(config: Path, one_process: Path, tmp_path: Path) -> None:
    output_dir = tmp_path / "killed"
    words = ["--config", str(config), "--output_dir", str(output_dir)]
    command = [sys.executable, "-m", "finetune.train", *words]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole = json.loads((one_process / "history.json").read_text())
    saved = output_dir / f"checkpoint-{last_step(whole) // NUM_EPOCHS}"
    try:
        while process.poll() is None and not (saved / "trainer_state.json").is_file():
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
    finally:
        process.kill()
        process.wait()
    assert not (output_dir / "split_card.json").exists()
    assert train.main(words) == 0
    again = json.loads((output_dir / "history.json").read_text())
    assert losses(again) == pytest.approx(losses(whole), rel=1e-4)
    assert validation_losses(again) == pytest.approx(validation_losses(whole), rel=1e-4)


def test_finished_folder_is_not_overwritten(config: Path, one_process: Path, capsys) -> None:
    assert train.main(["--config", str(config), "--output_dir", str(one_process)]) == 2
    assert "holds a finished checkpoint" in capsys.readouterr().err


def test_fine_tuning_starts_from_a_folder_of_weights(config: Path, one_process: Path, tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        shutil.copy(one_process / name, encoder)
    arguments = parse_arguments(["--config", str(config), "--model", str(encoder)])
    model, _ = build_model(arguments.model, arguments.data.classes)
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen
    assert all("feature_extractor" in name for name in frozen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "none.yaml"], "none.yaml is no file"),
        (["--protocol", "random"], "random is unknown.*official"),
        (["--fold", "jackson"], "--fold jackson goes with --protocol loso"),
        (["--dataset", "no-such-folder"], "no folder and no known source"),
        (["--dataset", "FOLDER", "--from_config", "none.json"], "none.json does not exist"),
        (
            ["--dataset", "FOLDER", "--model", "nobody/nothing"],
            "--model nobody/nothing cannot be loaded.*--config",
        ),
        (["--freeze_layers", "-1"], "--freeze_layers -1: expected 0 or more"),
        (["--dataset", "FOLDER", "--from_config", "MICRO", "--freeze_layers", "3"], "Classification has 2"),
        (["--max_clip_ms", "-5"], "expected 0 or more, and 250 or more"),
        (["--nope", "3"], "unknown options --nope 3"),
        (["--skip_validation", "--reject"], "leave --skip_validation out"),
        (["--skip_validation", "--grid", "learning_rate=1e-3,2e-3"], "leave --skip_validation out"),
        (["--eval_strategy", "steps", "--save_strategy", "epoch"], "the options do not fit"),
        (["--metric_for_best_model", "f1"], "'f1': expected one of loss, accuracy, macro_f1"),
        (["--metric_for_best_model", "", "--load_best_model_at_end", "false"], "one of loss, accuracy"),
        (["--metric_for_best_model", "eval_runtime"], "one of loss, accuracy"),
        (["--per_device_train_batch_size", "0"], "expected 1 or more"),
        (["--gradient_accumulation_steps", "0"], "expected 1 or more"),
        (["--learning_rate", "-1"], "expected 0.0 or more"),
        (["--label_smoothing_factor", "3"], "expected 0 to 1"),
        (["--deepspeed", "none.json"], "the options do not fit"),
        (["--dataset", "FOLDER", "--from_config", "BERT"], "takes input_features"),
        (
            ["--dataset", "FOLDER", "--from_config", "MICRO", "--output_dir", "/proc/nope"],
            "cannot be written",
        ),
    ],
)
def test_mistakes_end_with_one_sentence(arguments, message, spoken_corpus, config, tmp_path, capsys) -> None:
    bert = {"model_type": "wav2vec2-bert", "num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16}
    (tmp_path / "bert.json").write_text(json.dumps(bert))
    stand_ins = {
        "FOLDER": str(spoken_corpus),
        "BERT": str(tmp_path / "bert.json"),
        "MICRO": str(config.parent / "micro.json"),
    }
    arguments = [stand_ins.get(argument, argument) for argument in arguments]
    assert train.main(["--output_dir", str(tmp_path / "out"), *arguments]) == 2
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optim", "adamw_bnb_8bit"], "bitsandbytes"),
        (["--lr_scheduler_type", "cosine_with_min_lr"], "min_lr"),
        (["--lr_scheduler_kwargs", '{"x": 1}'], "unexpected keyword argument 'x'"),
    ],
)
def test_optimizers_that_cannot_be_built_are_found_before_training(
    arguments, message, config: Path, tmp_path: Path, capsys
) -> None:
    words = ["--config", str(config), "--output_dir", str(tmp_path / "out"), *arguments]
    assert train.main(words) == 2
    error = capsys.readouterr().err
    assert "error: the options of optimizer and schedule do not fit" in error
    assert message in error
    assert not (tmp_path / "out" / "split_card.json").exists()


def test_another_experiment_does_not_go_on_where_one_was_killed(
    config: Path, one_process: Path, tmp_path: Path, capsys
) -> None:
    output_dir = tmp_path / "unfinished"
    shutil.copytree(one_process, output_dir)
    (output_dir / "split_card.json").unlink()
    assert train.main(["--config", str(config), "--output_dir", str(output_dir), "--split_seed", "7"]) == 2
    assert "unfinished run with another split_seed" in capsys.readouterr().err


def test_without_validation_the_last_epoch_is_kept(config: Path, tmp_path: Path) -> None:
    options = ("--eval_strategy", "no", "--load_best_model_at_end", "false", "--num_train_epochs", "1")
    arguments = ["--config", str(config), "--output_dir", str(tmp_path / "last"), *options]
    assert train.main(arguments) == 0
    card_text = (tmp_path / "last" / "README.md").read_text()
    assert "The last epoch was kept" in card_text
    assert "best epoch" not in card_text


def test_skipped_validation_clips_are_learned_from(config: Path, tmp_path: Path, spoken_corpus: Path) -> None:
    output_dir = tmp_path / "all"
    options = ("--skip_validation", "--num_train_epochs", "1")
    assert train.main(["--config", str(config), "--output_dir", str(output_dir), *options]) == 0
    split = make_split(load_corpus(str(spoken_corpus)).clips)
    card = read_split_card(output_dir)
    assert card is not None
    assert card.train_clips == {clip.clip_id for clip in (*split.train, *split.validation)}
    history = json.loads((output_dir / "history.json").read_text())
    assert last_step(history) == -(-len(card.train_clips) // BATCH)
    card_text = (output_dir / "README.md").read_text()
    assert "The last epoch was kept" in card_text
    assert "| test accuracy |" in card_text
    assert "| validation" not in card_text


def test_every_process_sees_every_epoch(two_processes: Path) -> None:
    """With several processes accelerate does not tell the dataset which epoch it is."""
    for rank in "01":
        epochs = (two_processes.parent / f"epochs-{rank}").read_text().split()
        assert sorted(epochs) == sorted(["0", "1"] * 20)


def test_model_on_the_command_line_wins_over_the_configuration(config: Path) -> None:
    model_arguments = parse_arguments(["--config", str(config), "--model", "some/encoder"]).model
    assert (model_arguments.model, model_arguments.from_config) == ("some/encoder", None)
    assert model_arguments.freeze_feature_encoder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "lacks config.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"0" * 1000), "cannot be loaded"),
        (lambda folder: _drop_head(folder / "model.safetensors"), "the weights lack"),
        (lambda folder: _rename_label(folder / "config.json"), "the vocabulary in use is"),
    ],
)
def test_damaged_checkpoints_are_refused(one_process: Path, tmp_path: Path, damage, message: str) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(one_process, folder, ignore=shutil.ignore_patterns("checkpoint-*"))
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        load_backend("wav2vec2", str(folder), options=TORCH)


def _drop_head(path: Path) -> None:
    arrays = load_file(path)
    save_file({name: array for name, array in arrays.items() if "classifier" not in name}, path)


def _rename_label(path: Path) -> None:
    config = json.loads(path.read_text())
    config["id2label"]["3"] = "none"
    path.write_text(json.dumps(config))


def test_unknown_key_in_the_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "typo.yaml").write_text("learning_rat: 1\n")
    with pytest.raises(UserError, match="unknown options learning_rat"):
        parse_arguments(["--config", str(tmp_path / "typo.yaml")])


def test_command_line_wins_over_the_configuration(config: Path) -> None:
    training = parse_arguments(["--config", str(config), "--learning_rate", "0.5"]).training
    assert training.learning_rate == 0.5
    assert training.per_device_train_batch_size == BATCH


@pytest.mark.parametrize(
    "path", sorted((PROJECT / "finetune" / "configs").glob("*.yaml")), ids=lambda p: p.name
)
def test_shipped_configurations_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    arguments = parse_arguments(["--config", str(path)])
    if arguments.model.from_config:
        model, _ = build_model(arguments.model, arguments.data.classes)
        assert model.num_parameters() * 4 < 12e6
