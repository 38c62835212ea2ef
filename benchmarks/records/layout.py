"""The layout of the records: one frozen dataclass for each kind of line and document.

The docstrings are the documentation: ``python -m benchmarks.records`` makes the tables of
``results/README.md`` and a JSON schema from these classes. A value that could not be had is None, never 0
and never left out. ``*_ns`` are integers in nanoseconds, ``*_s`` seconds, ``*_bytes`` bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

#: Version of the layout, first field ``v`` of every line and document.
RECORD_VERSION = 4


@dataclass(frozen=True)
class Settings:
    """How often and how patiently to measure.

    Attributes:
        seed: Seed of the splits and of the order of the latency rounds.
        threads: CPU threads per backend.
        rounds: Latency rounds; 72 is the fewest that carry a 95th percentile.
        pool_size: Clips that the latency rounds draw from.
        sweep_threads: Further numbers of threads to time.
        sweep_batches: Further numbers of clips per call to time.
        sweep_rounds: Rounds of each sweep.
        cold_starts: Fresh processes per backend.
        memory_calls: Predictions before the steady memory is read.
        load_timeout_s: Longest time a backend may take to load.
        clip_timeout_s: Longest time one prediction may take.
    """

    seed: int = 0
    threads: int = 1
    rounds: int = 72
    pool_size: int = 120
    sweep_threads: tuple[int, ...] = ()
    sweep_batches: tuple[int, ...] = ()
    sweep_rounds: int = 24
    cold_starts: int = 5
    memory_calls: int = 100
    load_timeout_s: float = 300.0
    clip_timeout_s: float = 30.0


@dataclass(frozen=True)
class ProtocolRecord:
    """A protocol of a run.

    Attributes:
        protocol: ``official``, ``loso``, ``loso-lite``, ``speaker-disjoint`` or ``external:<name>``.
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
        answers: The file of its answers.
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
    answers: str
    checkpoint: str
    summary: str
    fixture: str | None
    protocols: Mapping[str, EntryProtocol]
    status: str
    reason: str | None
    fix: str | None
    failures: tuple[FailureRecord, ...]


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
    asked: str | None = None

    def __post_init__(self) -> None:
        for name in ("protocols", "backends"):
            if not getattr(self, name):
                raise ValueError(f"{name}: expected at least one")


@dataclass(frozen=True)
class SplitsRecord:
    """The clips that were measured.

    Attributes:
        protocols: Protocol -> held-out speaker, or ``all`` -> clip -> hash of its samples.
    """

    protocols: Mapping[str, Mapping[str, Mapping[str, str]]]


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
class Corruption:
    """What a condition really did to a clip; null where it does not apply.

    Attributes:
        realised_snr_db: Signal-to-noise ratio that the mixture has.
        gain_db: Change of the speech's level.
        clipped_share: Share of samples at full scale.
    """

    realised_snr_db: float | None
    gain_db: float | None
    clipped_share: float | None


@dataclass(frozen=True)
class AnswerRecord:
    """One answer. Without ``ok`` the fields from ``label`` on are null.

    Attributes:
        job: Hash of everything that the answer depends on: code, weights, options, protocol, fold,
            condition, clips.
        backend: Who answered.
        protocol: Under which protocol.
        fold: The held-out speaker; null without folds.
        condition: Under which condition.
        clip: Name of the clip.
        pcm_sha: Hash of the samples that were given.
        speaker: Who spoke; in ``rejection`` the kind of sound.
        reference: What was said; null in ``rejection`` and ``other-words``.
        duration_s: Length of the clip.
        rms_dbfs: Its level; null for digital silence.
        corruption: What the condition did to it.
        mapping: Version of the mapping from text to labels.
        status: ``ok``, ``error`` (raised, or an answer against the contract such as NaN), ``crash``,
            ``timeout`` or ``oom``.
        error: What happened.
        label: The answer; null with ``ok`` is an answer without a label, which counts as wrong.
        score: How sure the backend is of the label, 0 to 1.
        probabilities: One per label of the vocabulary.
        none_probability: That it is no word of the vocabulary.
        hypothesis: The text that was recognised; it is mapped again for every report.
        reason: Why there is no label.
        refused: Why the checkpoint's operating point would not show the answer.
        t_ns: ``e2e``, ``cpu`` and the stages that the backend names; for information only.
    """

    job: str
    backend: str
    protocol: str
    fold: str | None
    condition: str
    clip: str
    pcm_sha: str
    speaker: str
    reference: str | None
    duration_s: float
    rms_dbfs: float | None
    corruption: Corruption | None
    mapping: str
    status: str
    error: str | None
    label: str | None = None
    score: float | None = None
    probabilities: tuple[float, ...] | None = None
    none_probability: float | None = None
    hypothesis: str | None = None
    reason: str | None = None
    refused: str | None = None
    t_ns: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Contention:
    """What other work took away during a call; null where the system does not tell.

    Attributes:
        psi_us: Time in which some task waited for a processor.
        steal_ms: Time that a hypervisor gave to other guests.
        wall_us: Length of the visit: a discarded call and the timed one.
        involuntary_switches: How often the backend lost its processor.
    """

    psi_us: int | None = None
    steal_ms: int | None = None
    wall_us: int | None = None
    involuntary_switches: int | None = None


@dataclass(frozen=True)
class TimedCall:
    """A call of the interleaved rounds (``batch`` 1, ``threads`` those of the run) or of a sweep.

    Attributes:
        backend: Who was timed.
        round: Number of the round; all backends answer the same clips in it.
        position: Place of the backend in the round.
        clip: The clip, the first one of a batch.
        duration_s: Audio in all.
        threads: CPU threads.
        batch: Clips per call.
        t_ns: ``e2e`` from a waveform in memory to the answer, ``cpu``, and the stages the backend names.
        stages_agree: Whether the stages make up the whole within 2 % or 50 microseconds; null without any.
        contention: What other work took away.
        contended: Whether the hypervisor stole time, or tasks waited for more than 20 % of the visit.
    """

    backend: str
    round: int
    position: int
    clip: str
    duration_s: float
    threads: int
    batch: int
    t_ns: Mapping[str, int]
    stages_agree: bool | None
    contention: Contention
    contended: bool


@dataclass(frozen=True)
class LoadRecord:
    """How a worker that was timed came up.

    Attributes:
        backend: Who.
        threads: CPU threads.
        load_seconds: Importing and loading.
        first_call_ms: The first call.
        warmup_calls: Calls until the time had settled.
    """

    backend: str
    threads: int
    load_seconds: float
    first_call_ms: float
    warmup_calls: int


@dataclass(frozen=True)
class ColdSeconds:
    """Seconds of one start, files in the page cache.

    Attributes:
        interpreter: From the request for a process to the first line of Python.
        imports: The backend's libraries.
        load: The checkpoint.
        first_prediction: The first answer.
        total: All of it.
    """

    interpreter: float
    imports: float
    load: float
    first_prediction: float
    total: float


@dataclass(frozen=True)
class ColdStart:
    """A fresh process, from nothing to its first answer.

    Attributes:
        backend: Who.
        repeat: Number of the start.
        seconds: How long its steps took.
    """

    backend: str
    repeat: int
    seconds: ColdSeconds


@dataclass(frozen=True)
class ResidentMemory:
    """Resident memory of a process and its children.

    Attributes:
        peak_rss_bytes: Its peak.
        rss_bytes: At the end.
    """

    peak_rss_bytes: int | None = None
    rss_bytes: int | None = None


@dataclass(frozen=True)
class MemoryByPhase:
    """Memory after each phase.

    Attributes:
        method: ``clear_refs`` if the peak was reset between phases, else ``peak since start``.
        start: The interpreter.
        imports: The backend's libraries.
        load: The checkpoint.
        first_call: The first answer.
        steady: Many answers.
    """

    method: str
    start: ResidentMemory
    imports: ResidentMemory
    load: ResidentMemory
    first_call: ResidentMemory
    steady: ResidentMemory


@dataclass(frozen=True)
class Cost:
    """How long a backend takes, for the plan.

    Attributes:
        load_s: Importing and loading.
        call_s: One clip.
    """

    load_s: float
    call_s: float


@dataclass(frozen=True)
class Footprint:
    """Size and memory of a backend in a process of its own.

    Attributes:
        backend: Who.
        zero_shot: Whether it learned nothing of this task.
        device: ``cpu`` or the name of the accelerator.
        parameters: Stored values of the model.
        parameters_reason: Why they are null.
        multiply_accumulates: By seconds of audio, ``0.42`` and ``1``.
        multiply_accumulates_reason: Why they are null.
        checkpoint_bytes: Files that must be shipped, as the backend declares them.
        opened_bytes: Files of the checkpoint that were really opened.
        opened_files: Their names in the checkpoint.
        runtime_bytes: Installed packages behind the imported modules.
        runtime_packages: Package -> bytes.
        peak_rss_bytes: Peak resident memory of the process and its children.
        memory: The same by phase.
        cost: What the plan was made with.
        weights: Hash of the checkpoint's files, of its name where it is no folder.
    """

    backend: str
    zero_shot: bool
    device: str | None
    parameters: int | None
    parameters_reason: str | None
    multiply_accumulates: Mapping[str, int] | None
    multiply_accumulates_reason: str | None
    checkpoint_bytes: int | None
    opened_bytes: int | None
    opened_files: tuple[str, ...] | None
    runtime_bytes: int | None
    runtime_packages: Mapping[str, int] | None
    peak_rss_bytes: int | None
    memory: MemoryByPhase | None = None
    cost: Cost | None = None
    weights: str | None = None


#: What a cell of a table of ``summary.json`` holds.
Cell = str | int | float | bool | None


@dataclass(frozen=True)
class SummaryTable:
    """A table of the report in full precision.

    Attributes:
        title: Its heading.
        notes: Sentences that a reader must know.
        columns: Keys of the rows.
        rows: Key -> value.
    """

    title: str
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Cell], ...]


@dataclass(frozen=True)
class RunSummary:
    """Every table of the report in one document.

    Attributes:
        run: Id of the run.
        command: What to type for the same run.
        complete: False if it was interrupted.
        fixture: Whether weights are stand-ins, so that no figure is a result.
        headline_protocol: The protocol that decides.
        mapping_version: Of the mapping from text to digits at the report.
        tables: Name -> table.
    """

    run: str
    command: str
    complete: bool
    fixture: bool
    headline_protocol: str
    mapping_version: str
    tables: Mapping[str, SummaryTable]
