"""``run.json``: what was asked, what became of each backend, and where.

What is said of a field here and in ``benchmarks.records.measurements`` is the documentation: ``python -m
benchmarks.records`` makes the tables of ``results/README.md`` and a JSON schema from it. A value that could
not be had is None, never 0 and never left out. ``*_ns`` are integers in nanoseconds, ``*_s`` seconds,
``*_bytes`` bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Settings:
    """How often and how patiently to measure."""

    seed: Annotated[int, "Seed of the splits and of the order of the latency rounds."] = 0
    threads: Annotated[int, "CPU threads per backend."] = 1
    rounds: Annotated[int, "Latency rounds; 72 is the fewest that carry a 95th percentile."] = 72
    pool_size: Annotated[int, "Clips that the latency rounds draw from."] = 120
    cold_starts: Annotated[int, "Fresh processes per backend."] = 5
    memory_calls: Annotated[int, "Predictions before the steady memory is read."] = 100
    load_timeout_s: Annotated[float, "Longest time a backend may take to load."] = 300.0
    clip_timeout_s: Annotated[float, "Longest time one prediction may take."] = 30.0


@dataclass(frozen=True)
class ProtocolRecord:
    """A protocol of a run."""

    protocol: Annotated[str, "``official``, ``loso``, ``speaker-disjoint`` or ``external:<name>``."]
    dataset: Annotated[str, "Name of the corpus."]
    dataset_description: Annotated[str, "One line on it."]
    caption: Annotated[str, "What a figure measured under the protocol says."]
    new_speakers: Annotated[
        bool,
        "Whether nobody who is tested was learned from; the speaker is then the statistical unit.",
    ]
    folds: Annotated[tuple[str | None, ...], "Held-out speakers; one null without folds."]
    fingerprint: Annotated[str, "Of all test clips."]
    test_clips: Annotated[int, "All test clips of the protocol."]
    measured_clips: Annotated[int, "Those that were asked about; a subset if fewer."]


@dataclass(frozen=True)
class ConditionRecord:
    """A condition of a run."""

    condition: Annotated[
        str,
        "``clean`` first; ``other-words`` are recordings of unheard voices without a word of the "
        "vocabulary; to ``clean@8kHz`` the noisy conditions compare; made sounds that are no word are "
        "``rejection``.",
    ]
    family: Annotated[str | None, "What belongs together in a curve; null for ``clean``."]
    level: Annotated[float | None, "In the unit of the family; null where a family has one condition."]
    protocol: Annotated[str, "The protocol whose clips were used."]
    clips: Annotated[int, "How many."]


@dataclass(frozen=True)
class FailureRecord:
    """Something that went wrong."""

    phase: Annotated[str, "Phase of the run."]
    protocol: Annotated[str | None, "Protocol, if it was a clip."]
    condition: Annotated[str | None, "Condition, if it was a clip."]
    kind: Annotated[str, "``refused``, ``error``, ``crash``, ``timeout`` or ``oom``."]
    reason: Annotated[str, "What happened."]
    traceback: Annotated[str | None, "The last lines that the backend wrote."]


@dataclass(frozen=True)
class EntryProtocol:
    """What became of a backend under one protocol."""

    status: Annotated[str, "As that of the backend."]
    reason: Annotated[str | None, "Why it is not ok."]
    leaked_clips: Annotated[
        int | None,
        "Test clips that a checkpoint was trained on; null without a split card.",
    ]
    trained_on: Annotated[str | None, "What the split cards say was learned from; null without one."]
    train_clips: Annotated[int | None, "Recorded clips learned from or chosen by, the most of any fold."]
    fold_checkpoints: Annotated[bool, "Whether each fold had a checkpoint that never heard its speaker."]


@dataclass(frozen=True)
class EntryRecord:
    """A backend as it was measured."""

    backend: Annotated[
        str,
        "Its name in every record: ``mfcc``, ``whisper:decode=constrained``, or the user's label.",
    ]
    family: Annotated[str, "Name in the table of backends."]
    options: Annotated[Mapping[str, str], "Ways to run it."]
    checkpoint: Annotated[str, "What was loaded."]
    summary: Annotated[str, "One line on it."]
    fixture: Annotated[str | None, "What its weights stand in for; null for real ones."]
    protocols: Annotated[Mapping[str, EntryProtocol], "Protocol -> what became of it there."]
    status: Annotated[str, "``ok``, ``failed``, ``unavailable`` or ``interrupted``."]
    reason: Annotated[str | None, "Why the status is not ok."]
    fix: Annotated[str | None, "What would mend it."]
    failures: Annotated[tuple[FailureRecord, ...], "What went wrong."]


@dataclass(frozen=True)
class MachineLoad:
    """How busy the machine was; null where the system does not tell."""

    load_average: Annotated[
        tuple[float, ...] | None,
        "Mean number of runnable processes over 1, 5 and 15 minutes.",
    ] = None
    waiting_us: Annotated[
        int | None,
        "Time in which some task waited for a processor, since the start of the machine.",
    ] = None
    steal_ms: Annotated[
        int | None,
        "Time that a hypervisor gave to other guests, since the start of the machine.",
    ] = None
    free_memory_bytes: Annotated[int | None, "Memory that could be had."] = None


@dataclass(frozen=True)
class Environment:
    """Where a run was made; null where the system does not tell."""

    cpu: Annotated[str | None, "Model of the processor."] = None
    machine: Annotated[str | None, "Architecture."] = None
    instruction_sets: Annotated[tuple[str, ...], "Vector and matrix instructions of the processor."] = ()
    cores: Annotated[int | None, "Processors of the machine."] = None
    cores_allowed: Annotated[int | None, "Processors that this process may use."] = None
    memory_bytes: Annotated[int | None, "Memory of the machine."] = None
    hypervisor: Annotated[str | None, "Kind of virtual machine; null on bare metal."] = None
    governor: Annotated[str | None, "Of the processor's clock."] = None
    gpus: Annotated[tuple[str, ...], "Names and drivers of NVIDIA devices."] = ()
    threads_per_backend: Annotated[int | None, "CPU threads of each backend."] = None
    os: Annotated[str | None, "Operating system."] = None
    python: Annotated[str | None, "Version of Python."] = None
    libraries: Annotated[
        Mapping[str, str | None] | None,
        "Library -> version; null if it is not installed.",
    ] = None
    thread_variables: Annotated[
        Mapping[str, str] | None,
        "Environment variables that bound the threads of a backend.",
    ] = None
    hw: Annotated[
        str | None,
        "Hash of the machine; milliseconds are compared only where it is the same.",
    ] = None
    sw: Annotated[str | None, "Hash of the software."] = None
    utc: Annotated[str | None, "When."] = None
    commit: Annotated[str | None, "Commit of the project."] = None
    uncommitted_changes: Annotated[bool | None, "Whether the code differed from it."] = None
    load_before: Annotated[MachineLoad | None, "Load when the run began."] = None
    load_after: Annotated[MachineLoad | None, "Load when it ended."] = None


@dataclass(frozen=True)
class RunRecord:
    """What was asked and what became of each backend."""

    run: Annotated[str, "Id of the run."]
    command: Annotated[str, "What to type for the same run."]
    suite: Annotated[str | None, "``smoke``, ``standard``, ``full`` or null."]
    complete: Annotated[bool, "False if it was interrupted."]
    phases: Annotated[
        tuple[str, ...],
        "Of ``accuracy``, ``latency``, ``cold``, ``memory``, ``size``, ``robustness``.",
    ]
    settings: Annotated[Settings, "How often and how patiently."]
    mapping_version: Annotated[str, "Of the mapping from text to digits at the run."]
    skipped_for_budget: Annotated[tuple[str, ...], "Sentences: what was left out to stay in the budget."]
    protocols: Annotated[tuple[ProtocolRecord, ...], "The test sets."]
    conditions: Annotated[tuple[ConditionRecord, ...], "What the clips went through."]
    backends: Annotated[
        tuple[EntryRecord, ...],
        "In the order of the tables; the first one timed is the reference of the ratios.",
    ]
    environment: Annotated[Environment, "Where it was made."]
    asked: Annotated[str | None, "Hash of what was asked, by which ``--resume`` knows its plan."] = None

    def __post_init__(self) -> None:
        for name in ("protocols", "backends"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected at least one")

    @property
    def backend_names(self) -> list[str]:
        """What the backends are called, in the order of the tables."""
        return [entry.backend for entry in self.backends]
