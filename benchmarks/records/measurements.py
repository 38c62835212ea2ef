"""What was measured: a frozen dataclass for each kind of line of the records, see ``run_record``."""

from collections.abc import Mapping
from dataclasses import dataclass


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
    """A call of the interleaved rounds.

    Attributes:
        backend: Who was timed.
        round: Number of the round; all backends answer the same clips in it.
        position: Place of the backend in the round.
        clip: The clip.
        duration_s: Its length.
        threads: CPU threads.
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
        multiply_accumulates: By seconds of audio, ``0.42`` and ``1``.
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
    multiply_accumulates: Mapping[str, int] | None
    checkpoint_bytes: int | None
    opened_bytes: int | None
    opened_files: tuple[str, ...] | None
    runtime_bytes: int | None
    runtime_packages: Mapping[str, int] | None
    peak_rss_bytes: int | None
    memory: MemoryByPhase | None = None
    cost: Cost | None = None
    weights: str | None = None
