"""The figures of a small tree, counted by hand."""

from pathlib import Path

import pytest

from tests.structure import Structure, main

FILES = {
    "inference/__init__.py": "",
    "inference/audio.py": "import numpy\nclass Clip: ...\n",
    "inference/predict.py": "from inference.audio import Clip\nfrom inference.live import engine\n",
    "inference/live/__init__.py": "",
    "inference/live/engine.py": "import inference.audio\n"
    "if TYPE_CHECKING:\n    from inference.live.events import E\n",
    "inference/live/events.py": "from inference.live.engine import Engine\nclass _Clip: ...\n",
    "finetune/train.py": "def main():\n    import benchmarks.run\n"
    "from inference import predict\nclass Clip: ...\n",
    "benchmarks/run.py": "",
    "README.md": "one\ntwo\n",
    "results/fsdd/run.json": "{}",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_rooms_arrows_chain_circles_and_names(tree: Path) -> None:
    found = Structure(tree)
    assert found.halls["inference"] == {"audio", "predict", "live"}
    assert found.arrows("inference") == {("predict", "audio"), ("predict", "live"), ("live", "audio")}
    assert found.longest_chain == (
        "finetune.train",
        "inference.predict",
        "inference.live.engine",
        "inference.audio",
    )
    assert found.circles == ["inference.live.engine <-> inference.live.events"]
    assert found.twice_named == ["Clip (inference.audio, finetune.train)"]


def test_the_table_is_printed(tree: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([str(tree)]) == 0
    printed = capsys.readouterr().out
    for row in ("| modules | 8 |", "| files in results/ | 1 |", "| README: lines, bytes | 2, 8 |"):
        assert row in printed
