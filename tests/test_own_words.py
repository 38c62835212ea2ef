"""Another vocabulary, from the README's file to an answer over HTTP: no code, synthetic voices."""

import contextlib
import importlib
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.records.files import read_run
from finetune.corpus.clip import Clip
from finetune.corpus.loading import load_corpus
from inference.audio import SAMPLING_RATE
from inference.commands import SUBCOMMANDS
from inference.files import cache_folder
from inference.vocabulary import VARIABLE, VOCABULARY_FILE, checkpoint_argument, use_vocabulary, vocabulary
from tests.conftest import PROJECT

SECTION = (
    (PROJECT / "finetune" / "README.md").read_text(encoding="utf-8").split("## Other words than digits")[1]
)
(FILE,) = re.findall(r"```yaml\n(.*?)```", SECTION.split("\n## ")[0], flags=re.DOTALL)
(BLOCK,) = re.findall(r"```bash\n(.*?)```", SECTION.split("\n## ")[0], flags=re.DOTALL)
COMMANDS = [line.split("#")[0].strip() for line in BLOCK.splitlines()]
WORDS = ("yes", "no", "stop", "go")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the README's file and a small corpus of its words; the vocabulary is in use."""
    from finetune.corpus import synthetic

    folder = tmp_path_factory.mktemp("words")
    (folder / "words.yaml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv(VARIABLE, "")
        use_vocabulary(folder / "words.yaml")
        assert vocabulary().labels == WORDS
        synthetic.load_synthetic(seed=1, num_voices=4, num_takes=8)
        (made,) = cache_folder().iterdir()
        made.rename(folder / "corpus")
        yield folder


def run(work: Path, command: str, *more: str | Path) -> str:
    """Runs a command of the README on the small corpus; no vocabulary is in use but that of its options."""
    replaced = {"words.yaml": work / "words.yaml", "runs/words": work / "mfcc", "synthetic": work / "corpus"}
    program, *words = [str(replaced.get(word, word)) for word in shlex.split(command)[2:]]
    words = [word.replace("=runs/words", f"={work / 'mfcc'}") for word in words]
    modules = {row.module.removesuffix(".__main__"): row.module for row in SUBCOMMANDS.values()}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setenv(VARIABLE, "")
        assert importlib.import_module(modules[program]).main([*words, *map(str, more)]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def checkpoint(work: Path) -> Path:
    (fit,) = (command for command in COMMANDS if "fit_baseline" in command)
    run(work, fit)
    assert json.loads((work / "mfcc" / "labels.json").read_text()) == list(WORDS)
    assert "yes, no, stop, go" in (work / "mfcc" / "README.md").read_text()
    return work / "mfcc"


@pytest.fixture(scope="module")
def clips(work: Path, checkpoint: Path) -> list[Clip]:
    """A training clip of each word, which the model has heard."""
    corpus = load_corpus(str(work / "corpus"))
    return [next(c for c in corpus.clips if c.label == word and not c.official_test) for word in WORDS]


def test_measured_and_reported(work: Path, checkpoint: Path, tmp_path: Path) -> None:
    from tests.random_whisper import build_tiny_whisper

    (measure,) = (command for command in COMMANDS if "benchmarks.run" in command)
    whisper = build_tiny_whisper(tmp_path / "whisper")
    more = ("whisper:decode=constrained", "--checkpoint", f"whisper:decode=constrained={whisper}")
    line = measure.replace("--backends mfcc pocketsphinx", "--backends mfcc pocketsphinx " + shlex.join(more))
    results = tmp_path / "results"
    run(work, line, "--limit", "12", "--phases", "accuracy", "--allow-fixture", "--out", results)
    answers = [answer for answer in read_run(results).answers() if answer.condition == "clean"]
    assert {answer.backend for answer in answers} == {"mfcc", "pocketsphinx", "whisper:decode=constrained"}
    assert {answer.label for answer in answers} <= {*WORDS, None}
    right = {
        name: sum(a.label == a.reference for a in answers if a.backend == name)
        for name in ("mfcc", "pocketsphinx")
    }
    assert min(right.values()) > 12 / 4, right  # better than guessing
    before = (results / "summary.json").read_text()
    rows = json.loads(before)["tables"]["confusion"]["rows"]
    assert set(rows[0]) >= {*WORDS, "none"}
    run(work, f"python -m benchmarks.report {results} --allow-fixture")
    assert (results / "summary.json").read_text() == before


def test_heard_live(work: Path, checkpoint: Path, clips: list[Clip]) -> None:
    silence = np.zeros(SAMPLING_RATE // 2, np.float32)
    stream = [silence, *(part for clip in clips for part in (clip.waveform(), silence))]
    soundfile.write(work / "stream.wav", np.concatenate(stream), SAMPLING_RATE)
    (listen,) = (command for command in COMMANDS if "inference.live" in command)
    replay = ("--replay", work / "stream.wav")
    events = list(map(json.loads, run(work, listen, *replay, "--jsonl").splitlines()))
    heard = [event["digit"] for event in events if event["type"] == "digit"]
    assert sum(word == said for word, said in zip(heard, WORDS, strict=False)) >= 2
    assert set(heard) <= set(WORDS)
    assert run(work, listen, *replay).split() == heard


def test_files_and_http_answer_alike(work: Path, checkpoint: Path, clips: list[Clip]) -> None:
    pytest.importorskip("gradio", reason="needs the extra 'app'")
    from fastapi.testclient import TestClient

    from inference.app.api import build_api
    from inference.app.recogniser import ClipRecogniser

    paths = [work / "corpus" / f"{clip.clip_id}.wav" for clip in clips]
    (predict,) = (command for command in COMMANDS if "inference.predict" in command)
    lines = run(work, predict.replace("recordings/", shlex.join(map(str, paths))), "--json")
    answers = list(map(json.loads, lines.splitlines()))
    assert [answer["label"] for answer in answers] == list(WORDS)  # it learned from these
    client = TestClient(build_api(ClipRecogniser({"mfcc": str(checkpoint)}), "mfcc", 4, 1))
    for path, answer in zip(paths, answers, strict=True):
        found = client.post("/predict", content=path.read_bytes()).json()
        assert (found["label"], round(found["score"], 4)) == (answer["label"], round(answer["score"], 4))
        assert set(found["probabilities"]) == set(WORDS)


def test_a_checkpoint_of_other_words_than_were_named_is_one_sentence(
    checkpoint: Path, run_module, tmp_path: Path
) -> None:
    (tmp_path / "other.yaml").write_text("labels:\n  left: [left]\n  right: [right]\n")
    words = ("x.wav", "--backend", "mfcc", "--vocabulary", tmp_path / "other.yaml")
    result = run_module("inference.predict", *words, "--checkpoint", checkpoint)
    assert result.returncode == 2
    (error,) = result.stderr.splitlines()
    assert f"Leave --vocabulary (or ${VARIABLE}) out" in error
    assert f"name its own: {checkpoint / VOCABULARY_FILE}" in error


@pytest.mark.parametrize("place", ["{}", "mfcc={}", "mfcc+mfcc={}", "big={}"])
def test_the_vocabulary_of_a_checkpoint_is_in_use_once_it_is_named(
    place: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert checkpoint_argument(place.format(checkpoint)) == place.format(checkpoint)
    assert vocabulary().labels == WORDS


@pytest.mark.slow
def test_wav2vec2_learns_the_words(work: Path, tmp_path: Path) -> None:
    """Two steps from random weights: the way is whole, the answers mean nothing."""
    line = "python -m finetune.train --config finetune/configs/wav2vec2-small.yaml --dataset synthetic"
    more = ("--max_steps", "2", "--save_strategy", "no", "--eval_strategy", "no")
    run(
        work,
        f"{line} --vocabulary words.yaml --output_dir {tmp_path / 'run'}",
        *more,
        "--load_best_model_at_end",
        "false",
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert list(config["id2label"].values()) == list(WORDS)
    clip = next((work / "corpus").glob("go_*.wav"))
    line = f"python -m inference.predict {clip} --backend wav2vec2 --runtime torch --vocabulary words.yaml"
    assert run(work, f"{line} --checkpoint {tmp_path / 'run'}").split()[1] in WORDS
