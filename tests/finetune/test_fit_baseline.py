"""The small baselines: fitted, stored without a pickle, loaded without the libraries that fitted them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from finetune import evaluation, export, fit_baseline
from finetune.checkpoint.split_card import read_split_card
from finetune.corpus.loading import load_corpus
from finetune.corpus.splits import make_split
from finetune.training import data
from inference.backends.table import BACKENDS, load_backend
from inference.errors import CheckpointError
from tests.conftest import PROJECT
from tests.finetune.training.test_resumption import largest_file


@pytest.fixture(scope="module")
def forest(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a class for what is no word."""
    folder = tmp_path_factory.mktemp("fit") / "forest"
    words = ["--model", "mfcc-forest", "--reject", "--dataset", str(spoken_corpus), "--out", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "MIN_NON_WORDS", 40)
        assert fit_baseline.main(words) == 0
    return folder


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("children", lambda children: children - 1),  # a walk without an end
        ("children", lambda children: children + 1),  # a walk beyond the last node
        ("children", lambda children: children.astype(float)),
        ("roots", lambda roots: roots + 10**6),
        ("statistic", lambda statistic: statistic - 1),
        ("threshold", lambda threshold: threshold[:-1]),
        ("shares", lambda shares: shares[:, :3]),
        ("width", lambda width: np.repeat(width, 2)),
    ],
)
def test_a_damaged_forest_is_refused(forest: Path, tmp_path: Path, name: str, change) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(forest, folder)
    arrays = load_file(folder / "model.safetensors")
    save_file({**arrays, name: change(arrays[name])}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="do not fit together"):
        load_backend("mfcc", str(folder))


def test_a_forest_refuses_what_is_no_word_and_stays_out_of_one_file(
    forest: Path, spoken_corpus: Path, capsys: pytest.CaptureFixture
) -> None:
    backend = load_backend("mfcc", str(forest))
    test = make_split(load_corpus(str(spoken_corpus)).clips).test
    predictions = backend.predict([clip.waveform() for clip in test])
    assert all(prediction.none_probability is not None for prediction in predictions)
    accuracy = np.mean([p.label == clip.label for p, clip in zip(predictions, test, strict=True)])
    assert accuracy == json.loads((forest / "figures.json").read_text())["test_accuracy"] > 0.5
    noise = np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32)
    assert backend.operating_point.decide(backend.predict([noise])[0]).label is None
    assert "chosen_C" not in (forest / "README.md").read_text()
    assert export.main([str(forest), "--format", "onnx", "--end-to-end", "--out", "one"]) == 2
    assert "is a random forest, which no export writes" in capsys.readouterr().err


def test_learns_synthetic_voices(fitted_mfcc: Path, spoken_corpus: Path) -> None:
    test = make_split(load_corpus(str(spoken_corpus)).clips).test
    predictions = load_backend("mfcc", str(fitted_mfcc)).predict([clip.waveform() for clip in test])
    accuracy = np.mean([p.label == clip.label for p, clip in zip(predictions, test, strict=True)])
    assert accuracy > 0.8
    assert f"| test accuracy | {accuracy:.4g} |" in (fitted_mfcc / "README.md").read_text()


@pytest.mark.parametrize("name", ["mfcc", "speech-embedding"])
def test_batch_equals_clips_alone(name: str, request: pytest.FixtureRequest, spoken_corpus: Path) -> None:
    folder = request.getfixturevalue({"mfcc": "fitted_mfcc", "speech-embedding": "fitted_network"}[name])
    backend = load_backend(name, str(folder))
    waveforms = [clip.waveform() for clip in load_corpus(str(spoken_corpus)).clips[::40]]
    together = [prediction.probabilities for prediction in backend.predict(waveforms)]
    alone = [backend.predict([waveform])[0].probabilities for waveform in waveforms]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_card_lists_what_was_learned(fitted_mfcc: Path, spoken_corpus: Path) -> None:
    split = make_split(load_corpus(str(spoken_corpus)).clips)
    card = read_split_card(fitted_mfcc)
    assert card is not None
    assert card.train_clips == {clip.clip_id for clip in (*split.train, *split.validation)}
    assert not (fitted_mfcc / "unfinished").exists()


def test_predicting_needs_neither_torch_nor_scikit_learn(fitted_mfcc: Path, spoken_corpus: Path) -> None:
    clip = next(spoken_corpus.glob("*.wav"))
    code = (
        "import sys\n"
        "from inference import predict\n"
        f"words = [{str(clip)!r}, '--backend', 'mfcc', '--checkpoint', {str(fitted_mfcc)!r}]\n"
        "assert predict.main(words) == 0\n"
        "assert not {'torch', 'sklearn', 'scipy', 'pandas', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=300)


def test_network_learns_and_runs_without_torch(fitted_network: Path, spoken_corpus: Path) -> None:
    """A few steps from the pretrained weights are enough, and the answers need no training library."""
    test = [clip.clip_id for clip in make_split(load_corpus(str(spoken_corpus)).clips).test]
    paths = [str(spoken_corpus / f"{name}.wav") for name in test]
    code = (
        "import sys\n"
        "from inference import predict\n"
        f"words = ['--backend', 'speech-embedding', '--checkpoint', {str(fitted_network)!r}]\n"
        f"assert predict.main([*{paths!r}, *words, '--json']) == 0\n"
        "assert not {'torch', 'sklearn', 'livekit', 'onnx'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=300, capture_output=True, text=True
    )
    answers = map(json.loads, result.stdout.splitlines())
    heard = [max(answer["probabilities"], key=answer["probabilities"].get) for answer in answers]
    accuracy = np.mean([name[0] == label for name, label in zip(test, heard, strict=True)])
    figures = json.loads((fitted_network / "figures.json").read_text())
    assert accuracy == pytest.approx(figures["test_accuracy"])
    assert accuracy > 0.8
    history = json.loads((fitted_network / "history.json").read_text())
    assert history[-1]["loss"] < history[0]["loss"]
    assert (
        str(PROJECT).encode() not in (fitted_network / "model.onnx").read_bytes()
    )  # no trace of the machine
    assert "eval_accuracy" in history[-1]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mfcc-logreg", "mfcc-cnn", "logmel-dscnn"])
def test_the_other_models_learn_too(model: str, spoken_corpus: Path, tmp_path: Path) -> None:
    steps = [] if model == "mfcc-logreg" else ["--steps", "60"]
    arguments = ["--model", model, *steps, "--synthetic-share", "0", "--skip-validation"]
    dataset = ["--dataset", str(spoken_corpus), "--out", str(tmp_path / model)]
    assert fit_baseline.main([*arguments, *dataset]) == 0
    backend = load_backend("mfcc" if model == "mfcc-logreg" else model, str(tmp_path / model))
    test = make_split(load_corpus(str(spoken_corpus)).clips).test
    predictions = backend.predict([clip.waveform() for clip in test])
    accuracy = np.mean([p.label == clip.label for p, clip in zip(predictions, test, strict=True)])
    assert accuracy == json.loads((tmp_path / model / "figures.json").read_text())["test_accuracy"] > 0.3


@pytest.mark.slow
def test_a_reject_class_comes_with_its_operating_point(
    spoken_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "MIN_NON_WORDS", 40)
    folder = tmp_path / "reject"
    arguments = ["--model", "mfcc-svm", "--reject", "--dataset", str(spoken_corpus), "--out", str(folder)]
    assert fit_baseline.main(arguments) == 0
    backend = load_backend("mfcc", str(folder))
    assert backend.operating_point is not None
    assert backend.operating_point.num_others == 2 * 40  # in quiet and in noise
    test = make_split(load_corpus(str(spoken_corpus)).clips).test
    predictions = backend.predict([clip.waveform() for clip in test])
    assert all(prediction.none_probability is not None for prediction in predictions)
    refused = np.mean(
        [backend.operating_point.decide(prediction).reason is not None for prediction in predictions]
    )
    figures = json.loads((folder / "figures.json").read_text())
    assert refused == pytest.approx(figures["test_words_refused"], abs=1e-6)


def test_several_corpora_and_what_each_is_owed(spoken_corpus: Path, tmp_path: Path) -> None:
    """Two voices are split, one is learned from whole, one validates; the cards say so."""
    voices = sorted({path.stem.split("_")[1] for path in spoken_corpus.glob("*.wav")})
    for place, voice in zip(("first", "first", "second", "held"), voices, strict=True):
        (tmp_path / place).mkdir(exist_ok=True)
        for path in spoken_corpus.glob(f"*_{voice}_*.wav"):
            shutil.copy(path, tmp_path / place)
    (tmp_path / "second" / "NOTICE").write_text("By Ann,\nCC BY 4.0.")
    first, second, held = (str(tmp_path / name) for name in ("first", "second", "held"))
    words = ["--model", "mfcc-logreg", "--dataset", first, second, "--validation_dataset", held]
    assert fit_baseline.main([*words, "--max-clips-per-label", "3", "--out", str(tmp_path / "out")]) == 0
    card = read_split_card(tmp_path / "out")
    assert card is not None
    assert card.train_speakers == tuple(sorted(voices[:3]))
    assert (card.test_speakers, card.validation_speakers) == (tuple(voices[:2]), (voices[3],))
    assert [source.use for source in card.sources] == ["split", "learned from", "validation"]
    assert len(card.train_clips) == 10 * (3 + 3) + 70
    assert card.leaked(load_corpus(second), load_corpus(second).clips)  # the guard knows every corpus
    text = (tmp_path / "out" / "README.md").read_text()
    assert "> By Ann,\n> CC BY 4.0." in text
    assert "license: other" in text
    assert "- validation: 70 clips of 1 speakers from the folder held" in text
    # Measured again on the same test set, which is the first corpus's.
    assert evaluation.main([str(tmp_path / "out"), "--dataset", first, "--out", str(tmp_path / "again")]) == 0


def test_full_disk_leaves_nothing_behind(spoken_corpus: Path, tmp_path: Path, capsys) -> None:
    words = ["--dataset", str(spoken_corpus), "--skip_validation", "--out", str(tmp_path / "out")]
    with largest_file(20_000):
        assert fit_baseline.main(words) == 2
    assert "Make room and start the same command again" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_finished_checkpoint_is_not_overwritten(fitted_mfcc: Path, spoken_corpus: Path, capsys) -> None:
    assert fit_baseline.main(["--dataset", str(spoken_corpus), "--out", str(fitted_mfcc)]) == 2
    assert "holds a finished checkpoint" in capsys.readouterr().err


DAMAGED_NETWORKS = [
    ("model.onnx", "nonsense", "cannot be read as an ONNX model"),
    ("features.json", '{"num_frames": 40}', "features.json gives windows of 40 x 40"),
    ("features.json", '{"colour": 1}', "holds no window settings"),
    ("labels.json", '["0"]', "has the classes"),
]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", None, "lacks model.safetensors.*fit_baseline"),
        ("model.safetensors", "nonsense", "cannot be read as safetensors"),
        ("labels.json", '["zero", "none"]', "has the classes .*zero.* the vocabulary in use is"),
        ("labels.json", "{", "not valid JSON"),
        ("features.json", '{"n_mfcc": 13}', "features.json gives .* the weights expect"),
        ("features.json", '{"colour": 1}', "holds no feature settings"),
        ("crop.json", '{"pre_ms": -5}', "is not a crop contract"),
        *DAMAGED_NETWORKS,
    ],
)
def test_damaged_checkpoints_are_refused(request, tmp_path, name, content, message) -> None:
    is_network = (name, content, message) in DAMAGED_NETWORKS
    folder = tmp_path / "damaged"
    shutil.copytree(request.getfixturevalue("fitted_network" if is_network else "fitted_mfcc"), folder)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        load_backend("speech-embedding" if is_network else "mfcc", str(folder))


@pytest.mark.parametrize(
    "name", [name for name, spec in BACKENDS.items() if Path(spec.default_checkpoint).is_dir()]
)
def test_shipped_checkpoints_have_cards_and_are_small(name: str) -> None:
    folder = Path(BACKENDS[name].default_checkpoint)
    card = read_split_card(folder)
    assert card is not None
    assert (card.corpus, card.protocol) == ("fsdd", "official")
    assert "test accuracy" in (folder / "README.md").read_text()
    assert load_backend(name).checkpoint_bytes < 12e6


@pytest.mark.parametrize(
    "name", ["mfcc", "mfcc-cnn", "logmel-dscnn", "speech-embedding", "wav2vec2", "whisper-encoder"]
)
def test_shipped_checkpoints_keep_their_word(name: str, recordings: Path) -> None:
    """The figures of the cards, on the real test clips that no choice has seen."""
    corpus = load_corpus(str(recordings))
    split = make_split(corpus.clips)
    backend = load_backend(name)
    card = read_split_card(Path(BACKENDS[name].default_checkpoint))
    assert card is not None
    if corpus.name != "fsdd":
        pytest.skip("SPOKEN_DIGITS_DATA holds other recordings than FSDD")
    assert card.fingerprint == split.fingerprint
    assert card.leaked(corpus, split.test) == []
    predictions = backend.predict([clip.waveform() for clip in split.test])
    accuracy = np.mean([p.label == clip.label for p, clip in zip(predictions, split.test, strict=True)])
    assert accuracy >= 0.96
    folder = Path(BACKENDS[name].default_checkpoint)
    told = json.loads((folder / "figures.json").read_text())["test_accuracy"]
    assert f"| test accuracy | {told:.4g} |" in (folder / "README.md").read_text()
    # An export in 8 bits may turn a clip over, another one on another processor.
    assert accuracy == pytest.approx(told, abs=0.01 if (folder / "export.json").is_file() else 1e-9)


def test_what_the_grid_is_chosen_from(spoken_corpus: Path, tmp_path: Path, capsys) -> None:
    command = ["--dataset", str(spoken_corpus), "--skip_validation", "--out", str(tmp_path / "out")]
    grid = ["--n-mfcc", "7", "--C", "0.5", "--folds", "2"]
    assert fit_baseline.main(["--model", "mfcc-logreg", *command, *grid]) == 0
    assert json.loads((tmp_path / "out" / "features.json").read_text())["n_mfcc"] == 7
    assert json.loads((tmp_path / "out" / "figures.json").read_text())["chosen_C"] == 0.5
    capsys.readouterr()
    assert fit_baseline.main(["--model", "mfcc-cnn", *command, *grid]) == 2
    assert "are for mfcc-svm, mfcc-logreg, mfcc-forest, not for mfcc-cnn" in capsys.readouterr().err
    assert fit_baseline.main(["--model", "mfcc-forest", *command, *grid]) == 2
    assert "mfcc-forest has no --C: leave it out" in capsys.readouterr().err
    assert fit_baseline.main([*command, "--n-mfcc", "40"]) == 2
    assert "--n-mfcc is at most 39" in capsys.readouterr().err
