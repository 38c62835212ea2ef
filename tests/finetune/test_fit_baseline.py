"""The MFCC baseline: fitted, stored without a pickle, loaded with numpy alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from finetune import fit_baseline
from finetune.baselines.svm import fit_classifier
from finetune.corpus import load_corpus
from finetune.corpus.splits import make_split
from finetune.split_card import read_split_card
from inference.backends import BACKENDS, load_backend
from inference.errors import CheckpointError
from inference.labels import LABELS
from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def checkpoint(spoken_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit") / "mfcc"
    assert fit_baseline.main(["--dataset", str(spoken_corpus), "--out", str(folder)]) == 0
    return folder


def test_collapsed_arrays_equal_the_library() -> None:
    """Multiplying margins and regression out must not change a probability."""
    generator = np.random.default_rng(0)
    label_ids = np.repeat(np.arange(len(LABELS)), 12)
    centres = generator.standard_normal((len(LABELS), 20))
    statistics = (centres[label_ids] + generator.standard_normal((label_ids.size, 20))).astype(np.float32)
    fitted = fit_classifier(statistics, label_ids, np.arange(label_ids.size) // 2, seed=0)
    fresh = generator.standard_normal((50, 20)).astype(np.float32) * 2
    expected = fitted.predict_proba(fresh)
    np.testing.assert_allclose(fitted.collapsed().probabilities(fresh), expected, atol=1e-4)
    assert len(set(expected.argmax(axis=1))) > 3


def test_learns_synthetic_voices(checkpoint: Path, spoken_corpus: Path) -> None:
    test = make_split(load_corpus(str(spoken_corpus)).clips).test
    predictions = load_backend("mfcc", str(checkpoint)).predict([clip.waveform() for clip in test])
    accuracy = np.mean([p.label == clip.label for p, clip in zip(predictions, test, strict=True)])
    assert accuracy > 0.8
    assert f"| test accuracy | {accuracy:.4g} |" in (checkpoint / "README.md").read_text()


def test_batch_equals_clips_alone(checkpoint: Path, spoken_corpus: Path) -> None:
    backend = load_backend("mfcc", str(checkpoint))
    waveforms = [clip.waveform() for clip in load_corpus(str(spoken_corpus)).clips[::40]]
    together = [prediction.probabilities for prediction in backend.predict(waveforms)]
    alone = [backend.predict([waveform])[0].probabilities for waveform in waveforms]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_card_lists_what_was_learned(checkpoint: Path, spoken_corpus: Path) -> None:
    split = make_split(load_corpus(str(spoken_corpus)).clips)
    card = read_split_card(checkpoint)
    assert card is not None
    assert card.train_clips == {clip.clip_id for clip in (*split.train, *split.validation)}
    assert not (checkpoint / "unfinished").exists()


def test_predicting_needs_neither_torch_nor_scikit_learn(checkpoint: Path, spoken_corpus: Path) -> None:
    clip = next(spoken_corpus.glob("*.wav"))
    code = (
        "import sys\n"
        "from inference import predict\n"
        f"assert predict.main([{str(clip)!r}, '--checkpoint', {str(checkpoint)!r}]) == 0\n"
        "assert not {'torch', 'sklearn', 'scipy', 'pandas', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=60)


def test_finished_checkpoint_is_not_overwritten(checkpoint: Path, capsys: pytest.CaptureFixture) -> None:
    assert fit_baseline.main(["--dataset", "synthetic", "--out", str(checkpoint)]) == 2
    assert "holds a finished checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", None, "lacks model.safetensors.*fit_baseline"),
        ("model.safetensors", "nonsense", "cannot be read as safetensors"),
        ("labels.json", '["zero", "none"]', "has the classes .*none.* this vocabulary is"),
        ("labels.json", "{", "not valid JSON"),
        ("features.json", '{"n_mfcc": 13}', "features.json gives .* the weights expect"),
        ("features.json", '{"colour": 1}', "holds no feature settings"),
        ("crop.json", '{"pre_ms": -5}', "is not a crop contract"),
    ],
)
def test_damaged_checkpoints_are_refused(checkpoint, tmp_path, name, content, message) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(checkpoint, folder)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        load_backend("mfcc", str(folder))


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


@pytest.mark.parametrize(("name", "least"), [("mfcc", 0.99), ("wav2vec2", 0.985)])
def test_shipped_checkpoints_keep_their_word(name: str, least: float, recordings: Path) -> None:
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
    assert accuracy >= least
    assert (
        f"| test accuracy | {accuracy:.4g} |"
        in (Path(BACKENDS[name].default_checkpoint) / "README.md").read_text()
    )
