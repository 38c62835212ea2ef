"""The documents of a run: what was asked, what became of each backend, where, and the tables in the end.

The docstrings here and in ``benchmarks.records.measurements`` are the documentation: ``python -m
benchmarks.records`` makes the tables of ``results/README.md`` and a JSON schema from them. A value that could
not be had is None, never 0 and never left out. ``*_ns`` are integers in nanoseconds, ``*_s`` seconds,
``*_bytes`` bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How often and how patiently to measure.

    Attributes:
        seed: Seed of the splits and of the order of the latency rounds.
        threads: CPU threads per backend.
        rounds: Latency rounds; 72 is the fewest that carry a 95th percentile.
        pool_size: Clips that the latency rounds draw from.
        cold_starts: Fresh processes per backend.
        memory_calls: Predictions before the steady memory is read.
        load_timeout_s: Longest time a backend may take to load.
        clip_timeout_s: Longest time one prediction may take.
    """

    seed: int = 0
    threads: int = 1
    rounds: int = 72
    pool_size: int = 120
    cold_starts: int = 5
    memory_calls: int = 100
    load_timeout_s: float = 300.0
    clip_timeout_s: float = 30.0


@dataclass(frozen=True)
class ProtocolRecord:
    """A protocol of a run.

    Attributes:
        protocol: ``official``, ``loso``, ``speaker-disjoint`` or ``external:<name>``.
        dataset: Name of the corpus.
        dataset_description: One line on it.
        caption: What a figure measured under the protocol says.
        new_speakers: Whether nobody who is tested was learned from; the speaker is then the statistical unit.
        folds: Held-out speakers; one null without folds.
        fingerprint: Of all test clips.
        test_clips: All test clips of the protocol.
        measured_clips: Those that were asked about; a subset if fewer.
    """

    protocol: str
    dataset: str
    dataset_description: str
    caption: str
    new_speakers: bool
    folds: tuple[str | None, ...]
    fingerprint: str
    test_clips: int
    measured_clips: int


@dataclass(frozen=True)
class ConditionRecord:
    """A condition of a run.

    Attributes:
        condition: ``clean`` first; ``other-words`` are recordings of unheard voices without a word of the
            vocabulary; to ``clean@8kHz`` the noisy conditions compare; made sounds that are no word are
            ``rejection``.
        family: What belongs together in a curve; null for ``clean``.
        level: In the unit of the family; null where a family has one condition.
        protocol: The protocol whose clips were used.
        clips: How many.
    """

    condition: str
    family: str | None
    level: float | None
    protocol: str
    clips: int


@dataclass(frozen=True)
class FailureRecord:
    """Something that went wrong.

    Attributes:
        phase: Phase of the run.
        protocol: Protocol, if it was a clip.
        condition: Condition, if it was a clip.
        kind: ``refused``, ``error``, ``crash``, ``timeout`` or ``oom``.
        reason: What happened.
        traceback: The last lines that the backend wrote.
    """

    phase: str
    protocol: str | None
    condition: str | None
    kind: str
    reason: str
    traceback: str | None


@dataclass(frozen=True)
class EntryProtocol:
    """What became of a backend under one protocol.

    Attributes:
        status: As that of the backend.
        reason: Why it is not ok.
        leaked_clips: Test clips that a checkpoint was trained on; null without a split card.
        trained_on: The corpora that the split cards name; null without one.
        train_clips: Clips learned from, the most of any fold.
        fold_checkpoints: Whether each fold had a checkpoint that never heard its speaker.
    """

    status: str
    reason: str | None
    leaked_clips: int | None
    trained_on: str | None
    train_clips: int | None
    fold_checkpoints: bool


@dataclass(frozen=True)
class EntryRecord:
    """A backend as it was measured.

    Attributes:
        backend: Its name in every record: ``mfcc``, ``whisper:decode=constrained``, or the user's label.
        family: Name in the table of backends.
        options: Ways to run it.
        checkpoint: What was loaded.
        summary: One line on it.
        fixture: What its weights stand in for; null for real ones.
        protocols: Protocol -> what became of it there.
        status: ``ok``, ``failed``, ``unavailable`` or ``interrupted``.
        reason: Why the status is not ok.
        fix: What would mend it.
        failures: What went wrong.
    """

    backend: str
    family: str
    options: Mapping[str, str]
    checkpoint: str
    summary: str
    fixture: str | None
    protocols: Mapping[str, EntryProtocol]
    status: str
    reason: str | None
    fix: str | None
    failures: tuple[FailureRecord, ...]


@dataclass(frozen=True)
class MachineLoad:
    """How busy the machine was; null where the system does not tell.

    Attributes:
        load_average: Mean number of runnable processes over 1, 5 and 15 minutes.
        waiting_us: Time in which some task waited for a processor, since the start of the machine.
        steal_ms: Time that a hypervisor gave to other guests, since the start of the machine.
        free_memory_bytes: Memory that could be had.
    """

    load_average: tuple[float, ...] | None = None
    waiting_us: int | None = None
    steal_ms: int | None = None
    free_memory_bytes: int | None = None


@dataclass(frozen=True)
class Environment:
    """Where a run was made; null where the system does not tell.

    Attributes:
        cpu: Model of the processor.
        machine: Architecture.
        instruction_sets: Vector and matrix instructions of the processor.
        cores: Processors of the machine.
        cores_allowed: Processors that this process may use.
        memory_bytes: Memory of the machine.
        hypervisor: Kind of virtual machine; null on bare metal.
        governor: Of the processor's clock.
        gpus: Names and drivers of NVIDIA devices.
        threads_per_backend: CPU threads of each backend.
        os: Operating system.
        python: Version of Python.
        libraries: Library -> version; null if it is not installed.
        thread_variables: Environment variables that bound the threads of a backend.
        hw: Hash of the machine; milliseconds are compared only where it is the same.
        sw: Hash of the software.
        utc: When.
        commit: Commit of the project.
        uncommitted_changes: Whether the code differed from it.
        load_before: Load when the run began.
        load_after: Load when it ended.
    """

    cpu: str | None = None
    machine: str | None = None
    instruction_sets: tuple[str, ...] = ()
    cores: int | None = None
    cores_allowed: int | None = None
    memory_bytes: int | None = None
    hypervisor: str | None = None
    governor: str | None = None
    gpus: tuple[str, ...] = ()
    threads_per_backend: int | None = None
    os: str | None = None
    python: str | None = None
    libraries: Mapping[str, str | None] | None = None
    thread_variables: Mapping[str, str] | None = None
    hw: str | None = None
    sw: str | None = None
    utc: str | None = None
    commit: str | None = None
    uncommitted_changes: bool | None = None
    load_before: MachineLoad | None = None
    load_after: MachineLoad | None = None


@dataclass(frozen=True)
class RunRecord:
    """What was asked and what became of each backend.

    Attributes:
        run: Id of the run.
        command: What to type for the same run.
        suite: ``smoke``, ``standard``, ``full`` or null.
        complete: False if it was interrupted.
        phases: Of ``accuracy``, ``latency``, ``cold``, ``memory``, ``size``, ``robustness``.
        settings: How often and how patiently.
        mapping_version: Of the mapping from text to digits at the run.
        skipped_for_budget: Sentences: what was left out to stay in the budget.
        protocols: The test sets.
        conditions: What the clips went through.
        backends: In the order of the tables; the first one timed is the reference of the ratios.
        environment: Where it was made.
        asked: Hash of what was asked, by which ``--resume`` knows its plan.
    """

    run: str
    command: str
    suite: str | None
    complete: bool
    phases: tuple[str, ...]
    settings: Settings
    mapping_version: str
    skipped_for_budget: tuple[str, ...]
    protocols: tuple[ProtocolRecord, ...]
    conditions: tuple[ConditionRecord, ...]
    backends: tuple[EntryRecord, ...]
    environment: Environment
    asked: str | None = None

    def __post_init__(self) -> None:
        for name in ("protocols", "backends"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected at least one")

    @property
    def backend_names(self) -> list[str]:
        """What the backends are called, in the order of the tables."""
        return [entry.backend for entry in self.backends]
