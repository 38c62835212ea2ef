"""Each of a user's mistakes ends within seconds, with a sentence, and leaves nothing behind."""

import shutil
from pathlib import Path

import pytest

from finetune import fit_baseline, pretrain, preview, train


def corpus_of(folder: Path, *names: str) -> list[str]:
    """Files that bear names of clips and hold no audio."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.wav").write_bytes(b"no audio")
    return ["--dataset", str(folder)]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["0_ann_0", "1_ann_9"], ["--protocol", "loso"], "needs at least 3 speakers"),
        (["0_ann_0", "1_ann_9"], ["--protocol", "loso", "--fold", "ann"], "needs at least 3 speakers"),
        (["0_ann_0", "1_ann_9"], [], "leaves no validation clips"),
        (["0_ann_0", "eleven_ann_9"], [], "has the label 'eleven', which is not in the vocabulary"),
        (["0_ann_0", "0_ann_8", "0_ann_9"], [], "clip 0_ann_0: "),
    ],
    ids=["one speaker", "one speaker and fold", "no validation", "unknown label", "unreadable clip"],
)
def test_corpora_that_cannot_be_used(names, options, message, config: Path, tmp_path: Path, capsys) -> None:
    words = ["--config", str(config), *corpus_of(tmp_path / "clips", *names), *options]
    assert train.main([*words, "--output_dir", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("checkpoint-*"))
    assert not (tmp_path / "out" / "split_card.json").exists()


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_encoder_folder_that_lacks_a_file(missing: str, config: Path, tmp_path: Path, capsys) -> None:
    encoder = Path(__file__).parents[2] / "inference" / "checkpoints" / "wav2vec2"
    shutil.copytree(encoder, tmp_path / "encoder")
    (tmp_path / "encoder" / missing).unlink()
    words = ["--config", str(config), "--model", str(tmp_path / "encoder")]
    assert train.main([*words, "--output_dir", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "cannot be loaded" in message
    assert "check that it holds config.json, preprocessor_config.json and model.safetensors" in message
    assert not (tmp_path / "out").exists()


def test_encoder_folder_that_does_not_exist(config: Path, tmp_path: Path, capsys) -> None:
    words = ["--config", str(config), "--model", str(tmp_path / "encoder")]
    assert train.main([*words, "--output_dir", str(tmp_path / "out")]) == 2
    assert (
        "encoder does not exist; expected a folder, such as python -m finetune.pretrain makes"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_an_upload_without_a_hub_is_refused_before_any_work(config: Path, tmp_path: Path, capsys) -> None:
    words = ["--config", str(config), "--push_to_hub", "--output_dir", str(tmp_path / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finetune.training.fine_tuning.hub_is_reachable", lambda: False)
        assert train.main(words) == 2
    assert "--push_to_hub: the Hugging Face Hub cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("main", "words", "message"),
    [
        (train.main, ["--neftune_noise_alpha", "5"], "embeddings of text, which clips do not have"),
        (train.main, ["--prediction_loss_only", "true"], "the figures are made of the predictions"),
        (train.main, ["--no_eval_do_concat_batches"], "all predictions together"),
        (train.main, ["--batch_eval_metrics", "true"], "all predictions together"),
        (train.main, ["--bf16_full_eval", "true"], "clips are float32: leave it out"),
        (train.main, ["--dataloader_drop_last", "true"], "would leave clips out of validation and test"),
        (pretrain.main, ["--teacher", "nowhere"], "--teacher nowhere does not exist"),
        (pretrain.main, ["--teacher_layer", "1"], "goes with a Hugging Face encoder"),
        (pretrain.main, ["--learning_rate", "nan"], "not a finite number above 0"),
        (pretrain.main, ["--out", ""], "the path is empty"),
        (fit_baseline.main, ["--out", ""], "the path is empty"),
        (fit_baseline.main, ["--model", "mfcc-svm", "--steps", "5"], "--steps is for networks"),
        (preview.main, ["--out", "clips.xyz"], "expected a file that ends in .png, .svg"),
        (preview.main, ["--out", "clips"], "expected a file that ends in .png, .svg"),
    ],
)
def test_options_that_cannot_be_meant(main, words, message, capsys) -> None:
    try:
        status = main(words)
    except SystemExit as end:  # argparse
        status = end.code
    assert status == 2
    assert message in capsys.readouterr().err
