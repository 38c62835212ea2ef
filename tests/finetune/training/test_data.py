"""The options that both trainings share, and the clips that come of them."""

from collections import Counter
from pathlib import Path

import pytest

from finetune.corpus.mixture import NOTICE_NAME
from finetune.training import data
from finetune.training.command_line import parse_arguments
from finetune.training.data import DataArguments, TrainingData, add_data_arguments, gather
from inference.command_line import CommandLineParser
from inference.errors import CorpusError, UserError
from tests.finetune.corpus.test_mixture import write_clips

SHARED = ["--dataset", "a", "b", "--dataset", "c", "--non-words", "x", "--non_words", "y", "--reject"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A corpus with a test set, one of many speakers, one to validate on, and other words."""
    labels, people = "0123456789", ("ann", "bob")
    root = tmp_path_factory.mktemp("corpora")
    names = {
        "first": [f"{label}_{who}_{take}" for label in labels for who in people for take in (0, 7, 8)],
        "many": [f"{label}_{who}_0" for label in labels for who in ("ann", *"cdefg")],
        "held": [f"{label}_{who}_0" for label in labels for who in "xy"],
        "words": [f"bed_{who}_0" for who in "cde"],
        "held-words": [f"cat_{who}_0" for who in "xy"],
    }
    made = {
        name: write_clips(root / name, *clips, seed=seed) for seed, (name, clips) in enumerate(names.items())
    }
    Path(made["many"], NOTICE_NAME).write_text("By many people, CC BY 4.0.")
    return made


@pytest.fixture
def gathered(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> TrainingData:
    monkeypatch.setattr(data, "MIN_NON_WORDS", 2)
    arguments = DataArguments(
        dataset=[folders["first"], folders["many"]],
        max_clips_per_label=4,
        validation_dataset=[folders["held"]],
        reject=True,
        non_words=[folders["words"]],
        validation_non_words=[folders["held-words"]],
    )
    return gather(arguments)


def test_the_first_is_split_and_the_others_are_learned_from(gathered: TrainingData) -> None:
    split = gathered.split
    assert Counter(clip.label for clip in split.train) == dict.fromkeys("0123456789", 4 + 4)
    assert {clip.speaker for clip in split.test} == {"ann", "bob"}
    assert {clip.speaker for clip in split.validation} == {"x", "y"}
    strangers = {clip.speaker for clip in split.train} - {"ann", "bob"}
    assert {name.rpartition("-")[2] for name in strangers} == {"ann", *"cdefg"}
    assert gathered.validation_apart
    assert {clip.clip_id.split("/")[1].rpartition("-")[2] for clip in gathered.recorded_non_words} == {
        "words"
    }


def test_recorded_words_are_learned_from_and_calibrate(gathered: TrainingData) -> None:
    learned, chosen_by = gathered.non_words["train"], gathered.non_words["validation"]
    assert {clip.speaker for clip in learned} >= set("cde")
    assert [clip.speaker for clip in chosen_by] == ["x", "y"]
    words, others = gathered.calibration_clips()
    assert (len(words), len(others)) == (2 * 20, 2 * 2)
    assert len(gathered.training_clips) == len(gathered.split.train) + len(learned)


def test_every_source_is_told(gathered: TrainingData) -> None:
    uses = [source.use for source in gathered.sources]
    assert uses == ["split", "learned from", "validation", "non-words", "validation non-words"]
    assert [source.notice for source in gathered.sources if source.notice] == ["By many people, CC BY 4.0."]
    assert "2 recordings of other words from the folder held-words" in gathered.description


def test_what_is_measured_is_not_learned_from(folders: dict[str, str]) -> None:
    with pytest.raises(CorpusError, match="both learned from and measured on"):
        gather(DataArguments(dataset=[folders["first"], folders["first"]]))
    with pytest.raises(CorpusError, match="both learned from and measured on"):
        gather(DataArguments(dataset=[folders["first"]], validation_dataset=[folders["first"]]))
    words = [folders["words"]]
    with pytest.raises(CorpusError, match="both learned from and measured on"):
        gather(
            DataArguments(
                dataset=[folders["first"]], reject=True, non_words=words, validation_non_words=words
            )
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"non_words": ["x"]}, "--non_words goes with --reject"),
        ({"reject": True, "reject_share": 1}, "expected a share above 0 and below 1"),
        ({"reject": True, "skip_validation": True}, "leave --skip_validation out"),
        ({"validation_dataset": ["x"], "skip_validation": True}, "leave --skip_validation out"),
        ({"max_clips_per_label": 0}, "expected 1 or more"),
        ({"reject": True, "max_false_accept_rate": 1.5}, "above 0 and below 1"),
    ],
)
def test_contradictions_are_told(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataArguments(**options)


def test_both_commands_take_the_same_words(tmp_path: Path) -> None:
    parser = CommandLineParser()
    add_data_arguments(parser, {"reject_share": 0.5})
    options = parser.parse_args(SHARED)
    trained = parse_arguments(SHARED).data
    assert options.dataset == trained.datasets == ["a", "b", "c"]
    assert options.non_words == trained.non_words == ["x", "y"]
    assert (options.reject_share, trained.reject_share) == (0.5, 0.2)
    config = tmp_path / "recipe.yaml"
    config.write_text("dataset: mine\nnon_words: [w]\nreject: true\n")
    trained = parse_arguments(["--config", str(config), "--dataset", "a"]).data
    assert (trained.datasets, trained.non_words) == (["a"], ["w"])
