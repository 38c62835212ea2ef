"""Imports only point down, light things stay light, and nothing prints where it should not."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("inference", "finetune", "benchmarks")
FILES = sorted(path for package in PACKAGES for path in (PROJECT / package).rglob("*.py"))
#: Package -> what it must never import.
FORBIDDEN = {
    "inference": {
        "finetune",
        "benchmarks",
        "datasets",
        "accelerate",
        "evaluate",
        "sklearn",
        "pandas",
        "matplotlib",
    },
    "finetune": {"benchmarks"},
    "benchmarks": set(),
}
#: Heavy library -> the only files that may import it.
HOMES = {
    "transformers": {
        "benchmarks/peers/plain.py",
        "benchmarks/peers/random_whisper.py",
        "benchmarks/peers/stand_ins.py",
        "benchmarks/live/random_base.py",
        "inference/backends/encoder_runtimes/classifier.py",
        "finetune/arguments.py",
        "finetune/clip_dataset.py",
        "finetune/embedding_student.py",
        "finetune/pretrain.py",
        "benchmarks/plain_recipe.py",
        "benchmarks/training_contenders.py",
        "finetune/clip_trainer.py",
        "finetune/collator.py",
        "finetune/command_line.py",
        "finetune/early_stopping.py",
        "finetune/fine_tuning.py",
        "finetune/metrics.py",
        "finetune/modeling.py",
        "finetune/outcome.py",
        "finetune/short_clips.py",
        "finetune/tracking.py",
    },
    "faster_whisper": {
        "benchmarks/peers/plain.py",
        "inference/backends/whisper.py",
        "inference/backends/whisper_decoder.py",
        "inference/backends/whisper_folder.py",
        "inference/backends/whisper_scorer.py",
        "inference/backends/whisper_tokens.py",
        "inference/backends/whisper_window.py",
    },
    "fastapi": {"inference/app/api.py"},
    "gradio": {"inference/app/page.py", "inference/app/server.py"},
    "openvino": {"inference/backends/encoder_runtimes/openvino_runtime.py"},
    "pocketsphinx": {"inference/backends/pocketsphinx.py"},
    "sounddevice": {"inference/live/capture.py", "inference/live/devices.py"},
    "torchcodec": {"inference/audio.py", "inference/live/replay.py"},
}
HELP_WITHOUT_TORCH = (
    "inference.predict",
    "inference.live",
    "inference.app",
    "finetune.evaluation",
    "finetune.export",
    "finetune.fit_baseline",
    "finetune.preview",
    "finetune.pretrain",
    "benchmarks.run",
    "benchmarks.peers",
    "benchmarks.report",
    "benchmarks.live",
    "benchmarks.compare",
    "benchmarks.gate",
    "benchmarks.doctor",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_point_down(path: Path) -> None:
    package = path.relative_to(PROJECT).parts[0]
    upward = {name for name in imports(path) if name.partition(".")[0] in FORBIDDEN[package]}
    assert not upward


@pytest.mark.parametrize("library", HOMES)
def test_heavy_libraries_are_imported_in_one_place(library: str) -> None:
    importers = {
        str(path.relative_to(PROJECT))
        for path in FILES
        if any(name.partition(".")[0] == library for name in imports(path))
    }
    assert importers <= HOMES[library]


def test_no_import_cycles() -> None:
    graph = {module_name(path): {name for name in imports(path, top_level_only=True)} for path in FILES}
    graph = {module: {name for name in names if name in graph} - {module} for module, names in graph.items()}
    finished: set[str] = set()

    def visit(module: str, chain: tuple[str, ...]) -> None:
        assert module not in chain, " -> ".join((*chain, module))
        if module not in finished:
            for name in graph[module]:
                visit(name, (*chain, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", HELP_WITHOUT_TORCH)
def test_help_is_quick_and_loads_no_heavy_library(module: str) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['{module}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('{module}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as exit:\n"
        "    assert exit.code in (0, None)\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'sounddevice', 'faster_whisper'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout
    # Two seconds of waiting is what a person accepts; a busy machine gets some more.
    assert time.perf_counter() - started < 6


def test_importing_every_light_module_loads_no_torch() -> None:
    code = (
        "import sys, inference, finetune, benchmarks, inference.audio, inference.vocabulary, inference.crop,"
        " inference.transcripts, inference.features, inference.backends, inference.live\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=60)
