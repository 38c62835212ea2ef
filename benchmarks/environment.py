"""Where a run was made: processor, memory, system, Python, library versions, commit, load."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.backend_process import worker_environment
from benchmarks.protocol import PROJECT_ROOT

LIBRARIES = (
    "accelerate",
    "ctranslate2",
    "datasets",
    "faster-whisper",
    "kaldi-native-fbank",
    "numpy",
    "onnxruntime",
    "pandas",
    "pocketsphinx",
    "scikit-learn",
    "scipy",
    "soxr",
    "spoken-digits",
    "torch",
    "torchcodec",
    "transformers",
)


def describe_environment(threads: int) -> dict[str, Any]:
    """Collects what the figures of a run depend on.

    Args:
        threads: CPU threads per backend.

    Returns:
        A JSON document; a value that this system does not tell is None.
    """
    return {
        "cpu": _cpu_model(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": _memory_bytes(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "threads_per_backend": threads,
        "thread_variables": {
            name: value
            for name, value in sorted(worker_environment(threads, offline=False).items())
            if name.startswith(("OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "KMP_", "GOMP_"))
        },
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": _uncommitted_changes(),
    }


def load_average() -> list[float] | None:
    """Mean number of runnable processes over 1, 5 and 15 minutes; None where the system hides it."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def environment_line(environment: dict[str, Any]) -> str:
    """One sentence for below a table."""
    commit = (environment["commit"] or "no commit")[:12]
    changes = " with uncommitted changes" if environment["uncommitted_changes"] else ""
    load = environment.get("load_average_before")
    libraries = ", ".join(
        f"{name} {environment['libraries'][name]}"
        for name in ("torch", "transformers", "onnxruntime", "faster-whisper", "pocketsphinx")
        if environment["libraries"][name]
    )
    return (
        f"{environment['cpu'] or environment['machine']}, {environment['cores_allowed']} cores, "
        f"{environment['threads_per_backend']} thread(s) per backend, "
        + (f"load {load[0]} at the start, " if load else "")
        + f"{environment['os']}, Python {environment['python']}, {libraries}; commit {commit}{changes}."
    )


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _uncommitted_changes() -> bool | None:
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else bool(status)


def _git(*arguments: str) -> str | None:
    """Output of a git command in the project; None outside a checkout or without git."""
    try:
        completed = subprocess.run(
            ["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout.strip()
