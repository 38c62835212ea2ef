"""Curves arrive where they were sent: read back from the stores themselves."""

import shutil
from pathlib import Path

import pytest

from finetune import fit_baseline, train
from finetune.training.tracking import tracked
from inference.audio import decode_audio
from inference.backends.table import load_backend
from inference.errors import UserError


@pytest.fixture(autouse=True)
def mlflow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "digits")
    return store


def test_fine_tuning_and_baselines_report_to_one_mlflow_store(
    config: Path, tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(mlflow_store)
    monkeypatch.chdir(tmp_path)  # where MLflow keeps artefacts
    (tmp_path / "svm").mkdir()
    (tmp_path / "svm" / "labels.json").write_text("[]")
    words = ["--config", str(config), "--output_dir", str(tmp_path / "out"), "--max_steps", "1"]
    assert train.main([*words, "--report_to", "mlflow"]) == 0
    with tracked(["mlflow"], tmp_path / "svm", {"model": "mfcc-svm", "seed": 3}) as report:
        report({"validation_accuracy": 0.5}, 0)
        report({"validation_accuracy": 0.75, "from (95 % Wilson)": 0.5}, 1)
    found = mlflow.search_runs(["1"], output_format="list")
    runs = {run.info.run_name: run.data for run in found}
    (fitted,) = (run.info.run_id for run in found if run.info.run_name == str(tmp_path / "svm"))
    assert mlflow.artifacts.load_text(f"runs:/{fitted}/checkpoint/labels.json") == "[]"
    assert set(runs) == {str(tmp_path / "out"), str(tmp_path / "svm")}
    assert 0 <= runs[str(tmp_path / "out")].metrics["eval_accuracy"] <= 1
    assert runs[str(tmp_path / "out")].params["learning_rate"] == "0.002"
    assert runs[str(tmp_path / "svm")].metrics == {"validation_accuracy": 0.75, "from 95  Wilson": 0.5}
    assert runs[str(tmp_path / "svm")].params["seed"] == "3"


def test_a_registered_model_is_read_back_by_its_name(
    fitted_mfcc: Path, spoken_corpus: Path, tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(mlflow_store)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(fitted_mfcc, tmp_path / "words")
    for settings in ({"seed": 3}, {"seed": 4}, {"seed": 4, "fold": "ann"}):
        with tracked(["mlflow"], tmp_path / "words", settings) as report:
            report({"validation_accuracy": 0.5}, 0)
    assert [version.version for version in mlflow.search_model_versions()] == [2, 1]
    (folder := tmp_path / "read").mkdir()
    found = mlflow.artifacts.download_artifacts("models:/words/2", dst_path=str(folder))
    clip = decode_audio(min(spoken_corpus.glob("7_*.wav")))
    (answer,) = load_backend("mfcc", found).predict([clip])
    (expected,) = load_backend("mfcc", str(fitted_mfcc)).predict([clip])
    assert (answer.label, answer.probabilities) == ("7", expected.probabilities)


def test_tensorboard_of_a_baseline(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tracked(["tensorboard"], tmp_path, {"seed": 3}) as report:
        report({"loss": 2.5}, 1)
    events = accumulator.EventAccumulator(str(tmp_path / "runs"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 2.5)]


def test_nothing_is_reported_unless_asked(tmp_path: Path) -> None:
    with tracked([], tmp_path, {}) as report:
        report({"loss": 1.0}, 0)
    assert not list(tmp_path.iterdir())


def test_missing_and_unknown_trackers_are_told(tmp_path: Path, config: Path, capsys) -> None:
    with (
        pytest.raises(UserError, match="unknown; choose from: tensorboard"),
        tracked(["paper"], tmp_path, {}),
    ):
        pass
    words = ["--config", str(config), "--output_dir", str(tmp_path / "out"), "--report_to"]
    for name, message in (("trackio", "pip install trackio"), ("paper", "paper")):
        assert train.main([*words, name]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_baseline_command_reports(spoken_corpus: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    words = ["--model", "mfcc-logreg", "--dataset", str(spoken_corpus), "--out", str(tmp_path / "out")]
    assert fit_baseline.main([*words, "--report_to", "tensorboard"]) == 0
    events = accumulator.EventAccumulator(str(tmp_path / "out" / "runs"))
    events.Reload()
    assert 0 <= events.Scalars("test_accuracy")[-1].value <= 1
