"""Imports only point down, light things stay light, and nothing prints where it should not."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

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
    "av": {"benchmarks/conditions/distortions.py", "inference/audio.py"},
    "transformers": {
        "benchmarks/against_libraries/library_calls.py",
        "benchmarks/against_libraries/stand_in.py",
        "inference/backends/encoder/classifier.py",
        "finetune/training/arguments.py",
        "finetune/training/clip_dataset.py",
        "finetune/training/distillation.py",
        "benchmarks/training_throughput/plain_recipe.py",
        "benchmarks/training_throughput/contenders.py",
        "finetune/training/clip_trainer.py",
        "finetune/training/command_line.py",
        "finetune/training/fine_tuning.py",
        "finetune/metrics.py",
        "finetune/training/modeling.py",
        "finetune/training/teacher.py",
        "finetune/training/whisper_encoder.py",
        "finetune/training/tracking.py",
    },
    "faster_whisper": {
        "benchmarks/against_libraries/library_calls.py",
        "inference/backends/whisper/backend.py",
        "inference/backends/whisper/decoder.py",
        "inference/backends/whisper/folder.py",
        "inference/backends/whisper/label_scorer.py",
        "inference/backends/whisper/window.py",
    },
    "fastapi": {"inference/app/api.py", "inference/app/transcriptions.py"},
    "gradio": {"inference/app/page.py", "inference/app/server.py"},
    "openvino": {"inference/backends/encoder/openvino_runtime.py"},
    "pocketsphinx": {"inference/backends/pocketsphinx.py"},
    "sounddevice": {"inference/live/source/capture.py", "inference/live/source/devices.py"},
    "torchcodec": set(),
}
HELP_WITHOUT_TORCH = (
    "inference.predict",
    "inference.live",
    "inference.app",
    "inference.record",
    "inference.wyoming",
    "finetune.corpus",
    "finetune.evaluation",
    "finetune.export",
    "finetune.fit_baseline",
    "finetune.preview",
    "finetune.pretrain",
    "benchmarks.run",
    "benchmarks.ablation",
    "benchmarks.against_libraries",
    "benchmarks.report",
    "benchmarks.live",
    "benchmarks.compare",
    "benchmarks.gate",
    "benchmarks.doctor",
    "benchmarks.training_throughput",
    "benchmarks.whisper_windows",
    "finetune.calibrate",
    "inference.commands",
    "inference.weights",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports(path: Path, outside_functions_only: bool = False) -> set[str]:
    """What a file imports: also where only type checkers look, and as a rule in functions too."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    if outside_functions_only:
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        inside = {inner for function in functions for inner in ast.walk(function)}
        nodes = [node for node in nodes if node not in inside]
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
    graph = {module_name(path): imports(path, outside_functions_only=True) for path in FILES}
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


def test_a_public_class_name_has_one_meaning() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module_name(path))
    assert {name: modules for name, modules in homes.items() if len(modules) > 1} == {}


def test_help_loads_no_heavy_library() -> None:
    """One process for all: what a program loads is there for the next one too, and whose it is is told."""
    code = f"""
import contextlib, io, runpy, sys
heavy = {{"torch", "transformers", "datasets", "sklearn", "sounddevice", "faster_whisper"}}
for module in {HELP_WITHOUT_TORCH!r}:
    sys.argv = [module, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as exit:
            assert exit.code in (0, None), module
    assert "usage:" in shown.getvalue(), module
    assert not heavy & set(sys.modules), (module, heavy & set(sys.modules))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr


def test_importing_every_light_module_loads_no_torch() -> None:
    code = (
        "import sys, inference, finetune, benchmarks, inference.audio, inference.vocabulary, inference.crop,"
        " inference.backends.transcripts, inference.features, inference.backends.table, inference.live\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=240)
