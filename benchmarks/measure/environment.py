"""Where a run was made: processor, memory, system, Python, library versions, commit, load."""

import hashlib
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.measure.contention import steal_ms, waiting_us
from benchmarks.records.run_record import Environment, MachineLoad
from benchmarks.run.entries import PROJECT_ROOT
from benchmarks.worker.client import worker_environment
from inference.cpu_features import instruction_sets, name_instruction_sets

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


def describe_environment(threads: int) -> Environment:
    """Collects what the figures of a run depend on.

    Returns:
        The record; a value that this system does not tell is None.
    """
    hardware: dict[str, Any] = {
        "cpu": _cpu_model(),
        "machine": platform.machine(),
        "instruction_sets": instruction_sets(),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": _memory_bytes(),
        "hypervisor": _hypervisor(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "gpus": tuple(_gpus()),
        "threads_per_backend": threads,
    }
    software: dict[str, Any] = {
        "os": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "thread_variables": {
            name: value
            for name, value in sorted(worker_environment(threads, offline=False).items())
            if name.startswith(("OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "KMP_", "GOMP_"))
        },
    }
    return Environment(
        **hardware,
        **software,
        hw=_hash(hardware),
        sw=_hash(software),
        utc=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        commit=_git("rev-parse", "HEAD"),
        uncommitted_changes=_uncommitted_changes(),
    )


def load_of_machine() -> MachineLoad:
    """How busy the machine is and was; a value that this system does not tell is None."""
    import psutil

    average = load_average()
    return MachineLoad(
        load_average=None if average is None else tuple(average),
        waiting_us=waiting_us(),
        steal_ms=steal_ms(),
        free_memory_bytes=psutil.virtual_memory().available,
    )


def load_average() -> list[float] | None:
    """Mean number of runnable processes over 1, 5 and 15 minutes; None where the system hides it."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def environment_line(environment: Environment) -> str:
    """One sentence for below a table."""
    libraries = environment.libraries or {}
    named = ", ".join(
        f"{name} {libraries[name]}"
        for name in ("torch", "transformers", "onnxruntime", "faster-whisper", "pocketsphinx")
        if libraries.get(name)
    )
    load = environment.load_before.load_average if environment.load_before else None
    instructions = name_instruction_sets(environment.instruction_sets)
    return (
        f"{environment.cpu or environment.machine}{f' ({instructions})' if instructions else ''}, "
        f"{environment.cores_allowed} cores, "
        + (f"load {load[0]} at the start, " if load else "")
        + f"{environment.os}, Python {environment.python}"
        + (f", {named}" if named else "")
        + f"; commit {(environment.commit or 'no commit')[:12]}"
        + f"{' with uncommitted changes' if environment.uncommitted_changes else ''}."
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
    # What runs write says nothing of the code that was measured.
    status = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
    return None if status is None else bool(status)


def _hypervisor() -> str | None:
    """Kind of virtual machine; None on bare metal or where it does not tell."""
    vendor = _read("/sys/devices/virtual/dmi/id/sys_vendor")
    flags = _read("/proc/cpuinfo") or ""
    return (vendor or "unknown") if " hypervisor" in flags else None


def _gpus() -> list[str]:
    """Names and drivers of NVIDIA devices."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return found.stdout.splitlines()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _hash(part: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]


def _git(*arguments: str) -> str | None:
    """Output of a git command in the project; None outside a checkout or without git."""
    try:
        completed = subprocess.run(
            ["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout.strip()
