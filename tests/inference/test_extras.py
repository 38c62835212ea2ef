"""Every package has an extra, and whoever lacks one reads a sentence with the command to type."""

import ast
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from inference.backends.table import SHIPPED_CHECKPOINTS
from inference.extras import EXTRA_OF_MODULE, missing_package
from tests.conftest import PROJECT, run_modules

FLOORS = ("inference", "finetune", "benchmarks")
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Module -> the distribution that pip knows, where the names differ or another one brings it.
DISTRIBUTIONS = {
    "mlflow": "mlflow-skinny",
    "PIL": "gradio",
    "anyio": "gradio",
    "ctranslate2": "faster-whisper",
    "fastapi": "gradio",
    "filelock": "huggingface-hub",
    "livekit": "livekit-wakeword",
    "markupsafe": "jinja2",
    "onnx_ir": "onnxscript",
    "sklearn": "scikit-learn",
    "starlette": "gradio",
    "tokenizers": "faster-whisper",
    "yaml": "pyyaml",
}
#: What the extras bring cannot be found.
WITH_THE_CORE_ALONE = f"""
import importlib.util, sys
extras = {set(EXTRA_OF_MODULE)!r}
class Blocker:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in extras:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in extras else found(name, *rest)
sys.meta_path.insert(0, Blocker)
"""


def third_party(floor: str) -> set[str]:
    found: set[str] = set()
    for path in (PROJECT / floor).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(FLOORS)


def distributions(requirements: list[str]) -> set[str]:
    """Names of what the requirements bring, through the project's own extras as well."""
    found: set[str] = set()
    for requirement in requirements:
        own = re.fullmatch(r"spoken-digits\[(.+)\]", requirement)
        if own:
            for extra in own[1].split(","):
                found |= distributions(METADATA["optional-dependencies"][extra])
        else:
            found.add(re.match(r"[\w.-]+", requirement)[0])
    return found


CORE = distributions(METADATA["dependencies"])


@pytest.mark.parametrize("floor", FLOORS)
def test_every_package_is_of_the_core_or_of_an_extra(floor: str) -> None:
    for module in third_party(floor):
        distribution = DISTRIBUTIONS.get(module, module.replace("_", "-"))
        if distribution not in CORE:
            assert module in EXTRA_OF_MODULE
            assert distribution in distributions(METADATA["optional-dependencies"][EXTRA_OF_MODULE[module]])


def test_no_extra_is_named_for_what_nobody_imports() -> None:
    imported = set().union(*map(third_party, FLOORS))
    # Read as data, used by torch, and torch's own decoder.
    assert set(EXTRA_OF_MODULE) - imported <= {"livekit", "onnxscript", "torchcodec"}


def test_torch_and_its_decoder_are_pinned_together() -> None:
    pinned = [text for text in METADATA["optional-dependencies"]["wav2vec2"] if text.startswith("torch")]
    assert all(re.fullmatch(r"torch(codec)?==[\d.]+", text) for text in pinned)
    assert len(pinned) == 2


@pytest.mark.parametrize(
    ("package", "floor", "extra"),
    [
        ("torch", "inference", "wav2vec2"),
        ("torch", "finetune", "finetune"),
        ("sklearn.svm", "benchmarks", "benchmarks"),
        ("openvino", "benchmarks", "openvino"),
        ("gradio", "inference", "app"),
    ],
)
def test_the_extra_of_the_floor_comes_first(package: str, floor: str, extra: str) -> None:
    sentence = missing_package(ModuleNotFoundError(name=package), floor)
    assert sentence is not None
    assert sentence.endswith(f"pip install 'spoken-digits[{extra}]'")


def test_a_package_of_no_extra_is_no_matter_of_ours() -> None:
    assert missing_package(ModuleNotFoundError(name="surprise"), "inference") is None


def test_the_core_recognises_a_file_and_a_stream() -> None:
    seven = PROJECT / "inference" / "app" / "examples" / "seven.flac"
    commands = ["inference.predict", seven], ["inference.live", "--replay", seven]
    found, heard = run_modules(*commands, prelude=WITH_THE_CORE_ALONE)
    assert found[1].split()[1:2] == ["7"], found
    assert heard[1].split() == ["7"], heard


#: Program -> what to type so that it must do its work, and the extra that this needs.
NEED_AN_EXTRA = {
    "inference.app": ([], "app"),
    "inference.wyoming": ([], "wyoming"),
    "finetune.corpus": (["recordings"], "finetune"),
    "finetune.train": ([], "finetune"),
    "finetune.fit_baseline": (["--dataset", "synthetic"], "finetune"),
    "finetune.pretrain": ([], "finetune"),
    "finetune.evaluation": (["inference/checkpoints/mfcc"], "finetune"),
    "finetune.preview": ([], "finetune"),
    "finetune.export": (["inference/checkpoints/wav2vec2", "--format", "onnx", "--out", "OUT"], "finetune"),
    "benchmarks.run": (["--out", "OUT"], "benchmarks"),
    "benchmarks.report": (["results/fsdd"], "benchmarks"),
    "benchmarks.compare": (["results/fsdd", "results/fsdd"], "benchmarks"),
    "benchmarks.live": (["--out", "OUT"], "benchmarks"),
    "benchmarks.whisper_windows": (["--out", "OUT"], "benchmarks"),
    "benchmarks.against_libraries": ([], "benchmarks"),
    "benchmarks.training_throughput": ([], "benchmarks"),
}


def test_without_its_extra_a_program_or_backend_says_what_to_type(tmp_path: Path) -> None:
    # Without what an earlier use left beside it.
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(SHIPPED_CHECKPOINTS / "wav2vec2", checkpoint, ignore=shutil.ignore_patterns(".*"))
    commands = [
        ([module, *(str(tmp_path / "out") if word == "OUT" else word for word in words)], extra)
        for module, (words, extra) in NEED_AN_EXTRA.items()
    ]
    commands += [
        (["inference.predict", "x.wav", "--backend", backend, "--checkpoint", checkpoint], backend)
        for backend in ("whisper", "wav2vec2", "pocketsphinx")
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "SPOKEN_DIGITS_DATA": ""}
    answers = run_modules(*(command for command, _ in commands), prelude=WITH_THE_CORE_ALONE, **environment)
    for (command, extra), (code, _, error) in zip(commands, answers, strict=True):
        assert code == 2, (command, error)
        assert error.rstrip().endswith(f"pip install 'spoken-digits[{extra}]'"), (command, error)
