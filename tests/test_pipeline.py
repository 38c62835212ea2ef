"""The DVC pipeline runs from baseline to benchmark, and a second time does nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import PROJECT


def test_stages_name_files_that_exist() -> None:
    pipeline = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    stages = pipeline["stages"]
    made = [folder for stage in stages.values() for folder in stage["outs"]]
    assert all(path.startswith(tuple(made)) for path in (*pipeline["metrics"], *pipeline["plots"]))
    parameters = yaml.safe_load((PROJECT / "params.yaml").read_text())
    assert list(stages) == ["baseline", "finetune", "benchmark"]
    for stage in stages.values():
        assert set(stage["params"]) <= set(parameters)
        for path in stage["deps"]:
            path = path.replace("${finetune_config}", parameters["finetune_config"])
            assert path.startswith("runs/") or (PROJECT / path).exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("dvc") is None, reason="needs dvc: pip install -e '.[pipeline]'")
def test_dvc_repro_runs_all_stages(spoken_corpus: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", PROJECT, clone], check=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(PROJECT / name, clone)
    parameters = yaml.safe_load((clone / "params.yaml").read_text())
    parameters |= {"dataset": str(spoken_corpus), "finetune_options": "--max_steps 2"}
    parameters |= {"benchmark_options": "--rounds 2 --limit 20"}
    (clone / "params.yaml").write_text(yaml.safe_dump(parameters))
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(clone), "PATH": binaries}

    def run(*command: str) -> str:
        return subprocess.run(
            command, cwd=clone, env=environment, check=True, capture_output=True, text=True
        ).stdout

    run("dvc", "repro")
    pipeline = yaml.safe_load((clone / "dvc.yaml").read_text())
    assert all((clone / path).exists() for path in (*pipeline["metrics"], *pipeline["plots"]))
    assert "test_accuracy" in run("dvc", "metrics", "show", "--json")
    assert "didn't change" in run("dvc", "repro")
    # What a commit of dvc.lock has measured is kept, and held against what lies here.
    run("git", "add", "dvc.lock")
    author = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
    run("git", *author, "commit", "--quiet", "-m", "measured")
    changes = json.loads(run("dvc", "metrics", "diff", "--all", "--json"))
    accuracy = changes["runs/pipeline/mfcc/figures.json"]["test_accuracy"]
    assert accuracy["old"] == accuracy["new"] is not None
    run("dvc", "plots", "diff")
    pictures = {path.name.partition("_")[0] for path in clone.glob("dvc_plots/static/*.png")}
    assert pictures == {"HEAD", "workspace"}
