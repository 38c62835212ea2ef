"""A run on voices that no model heard, with other words beside it: records, report, guard."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from benchmarks.records.files import ANSWERS_FILE, read_run
from benchmarks.run.__main__ import main
from finetune.checkpoint.split_card import SplitCard, read_split_card
from finetune.corpus import non_words, synthetic
from finetune.corpus.loading import DATA_VARIABLE, load_corpus
from finetune.corpus.non_words import recorded_non_words
from finetune.corpus.splits import make_split
from inference.backends.table import SHIPPED_CHECKPOINTS

Benchmark = Callable[..., tuple[int, Path]]
NUM_OTHER_WORDS = 20


@pytest.fixture(scope="session")
def other_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many as carry 5 % of them."""
    folder = tmp_path_factory.mktemp("other") / "words"
    folder.mkdir()
    for number in range(NUM_OTHER_WORDS):
        waveform = np.full(2000 + number, 0.5, np.float32)
        soundfile.write(folder / f"{('cat', 'dog')[number % 2]}_eve_{number}.wav", waveform, 16_000)
    return folder


@pytest.fixture
def options(corpus_folder: Path, other_words: Path) -> tuple[str, ...]:
    words = ("--protocol", f"external:{corpus_folder}", "--other-words", str(other_words))
    return (*words, "--phases", "accuracy")


def test_other_words_are_answered_kept_and_reported(
    benchmark: Benchmark, options: tuple[str, ...], corpus_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, folder = benchmark("Wary", "Constant", options=options, pictures=True)
    assert code == 0
    records = read_run(folder)
    answers = [record for record in records.answers() if record.condition == "other-words"]
    assert len(answers) == 2 * NUM_OTHER_WORDS
    assert {record.reference for record in answers} == {None}
    (condition,) = (row for row in records.run.conditions if row.condition == "other-words")
    assert (condition.protocol, condition.clips) == (f"external:{corpus_folder.name}", NUM_OTHER_WORDS)

    tables = json.loads((folder / "summary.json").read_text())["tables"]
    table = pd.DataFrame(tables["unheard"]["rows"]).set_index("backend")
    wary, constant = table.loc["wary"], table.loc["constant"]
    assert wary[["closed", "auroc", "right_at_5", "own_right", "own_shown"]].tolist() == [1, 1, 1, 1, 0]
    assert pd.isna(wary["right_at_1"])  # 20 other words do not tell 1 %
    assert constant[["closed", "own_right", "own_shown"]].tolist() == pytest.approx([0.1, 0.1, 1.0])
    assert constant[["auroc", "right_at_5"]].isna().all()

    screen = capsys.readouterr().out
    assert "Ship wary, 100.0 %" in " ".join(screen.split())
    assert "no score that a threshold could be held against" in " ".join(screen.split())
    assert {"unheard_curves.png", "reliability.png"} <= {path.name for path in (folder / "plots").iterdir()}
    # Where the folders lie is nobody's business.
    for path in (folder / "run.json", folder / "summary.md"):
        assert str(corpus_folder.parent) not in path.read_text()
    assert "--protocol external:<" in json.loads((folder / "run.json").read_text())["command"]


def test_a_resumed_run_asks_only_for_what_is_missing(
    benchmark: Benchmark, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = benchmark("Wary", options=options)
    whole = (folder / ANSWERS_FILE).read_bytes()
    capsys.readouterr()
    assert benchmark("Wary", options=(*options, "--resume"))[0] == 0
    assert "answers" not in capsys.readouterr().err
    assert (folder / ANSWERS_FILE).read_bytes() == whole


def test_other_words_need_voices_that_no_model_heard(
    other_words: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--other-words", str(other_words)])
    assert "say --protocol external:FOLDER as well" in capsys.readouterr().err


def test_a_checkpoint_that_heard_the_voices_is_refused(
    benchmark: Benchmark,
    options: tuple[str, ...],
    corpus_folder: Path,
    other_words: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = load_corpus(str(corpus_folder))
    names = {"corpus": "another name", "protocol": "official", "seed": 0, "fold": None, "fingerprint": "0"}
    nobody = {"train_speakers": (), "validation_speakers": (), "test_speakers": ()}
    heard = SplitCard(**names, **(nobody | {"train_speakers": ("bob",)}), train_clips=frozenset({"7_bob_99"}))
    others = recorded_non_words([str(other_words)])
    split = make_split(corpus.clips, "loso", fold="ann")
    hashes = SplitCard.from_split(corpus, replace(split, train=(), validation=()), (), others).train_hashes
    only_words = SplitCard(**names, **nobody, train_clips=frozenset(), train_hashes=hashes)
    for card, number in ((heard, 50), (only_words, NUM_OTHER_WORDS)):
        card.write(tmp_path)
        code, _ = benchmark("Wary", options=options, checkpoint=str(tmp_path))
        message = capsys.readouterr().err
        assert code == 2
        assert "or on their speakers" in message
        assert f"trained on {number} of the clips" in message


@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
def test_without_recordings_the_voices_are_those_that_no_shipped_model_has_heard(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "NUM_FLITE_TAKES", 1)
    monkeypatch.setattr(non_words, "NUM_FLITE_WORDS", 5)
    code, folder = benchmark("Constant", options=("--dataset", "auto", "--phases", "accuracy"))
    assert code == 0
    (protocol,) = read_run(folder).run.protocols
    assert (protocol.protocol, protocol.new_speakers, protocol.measured_clips) == ("external:flite", True, 40)
    for folder in SHIPPED_CHECKPOINTS.iterdir():
        card = read_split_card(folder)
        assert card is None or not set(card.train_speakers) & set(synthetic.FLITE_VOICES)


def test_without_flite_it_is_said_what_the_voices_are_worth(
    monkeypatch: pytest.MonkeyPatch, spoken_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    spoken = replace(load_corpus(str(spoken_corpus)), name="synthetic")
    monkeypatch.setattr(synthetic, "load_synthetic", lambda: spoken)
    assert main(["--backends", "mfcc", "--phases", "accuracy", "--limit", "10", "--plan"]) == 0
    told = capsys.readouterr()
    assert "apt-get install flite" in told.err
    assert "mfcc  official" in told.out
