"""What was measured: a frozen dataclass for each kind of line of the records, see ``run_record``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Corruption:
    """What a condition really did to a clip; null where it does not apply."""

    realised_snr_db: Annotated[float | None, "Signal-to-noise ratio that the mixture has."]
    gain_db: Annotated[float | None, "Change of the speech's level."]
    clipped_share: Annotated[float | None, "Share of samples at full scale."]


@dataclass(frozen=True)
class AnswerRecord:
    """One answer. Without ``ok`` the fields from ``label`` on are null."""

    job: Annotated[
        str,
        "Hash of everything that the answer depends on: code, weights, options, protocol, fold, "
        "condition, clips.",
    ]
    backend: Annotated[str, "Who answered."]
    protocol: Annotated[str, "Under which protocol."]
    fold: Annotated[str | None, "The held-out speaker; null without folds."]
    condition: Annotated[str, "Under which condition."]
    clip: Annotated[str, "Name of the clip."]
    pcm_sha: Annotated[str, "Hash of the samples that were given."]
    speaker: Annotated[str, "Who spoke; in ``rejection`` the kind of sound."]
    reference: Annotated[str | None, "What was said; null in ``rejection`` and ``other-words``."]
    duration_s: Annotated[float, "Length of the clip."]
    rms_dbfs: Annotated[float | None, "Its level; null for digital silence."]
    corruption: Annotated[Corruption | None, "What the condition did to it."]
    mapping: Annotated[str, "Version of the mapping from text to labels."]
    status: Annotated[
        str,
        "``ok``, ``error`` (raised, or an answer against the contract such as NaN), ``crash``, "
        "``timeout`` or ``oom``.",
    ]
    error: Annotated[str | None, "What happened."]
    label: Annotated[
        str | None,
        "The answer; null with ``ok`` is an answer without a label, which counts as wrong.",
    ] = None
    score: Annotated[float | None, "How sure the backend is of the label, 0 to 1."] = None
    probabilities: Annotated[tuple[float, ...] | None, "One per label of the vocabulary."] = None
    none_probability: Annotated[float | None, "That it is no word of the vocabulary."] = None
    hypothesis: Annotated[
        str | None,
        "The text that was recognised; it is mapped again for every report.",
    ] = None
    reason: Annotated[str | None, "Why there is no label."] = None
    refused: Annotated[str | None, "Why the checkpoint's operating point would not show the answer."] = None
    t_ns: Annotated[
        Mapping[str, int] | None,
        "``e2e``, ``cpu`` and the stages that the backend names; for information only.",
    ] = None


@dataclass(frozen=True)
class Contention:
    """What other work took away during a call; null where the system does not tell."""

    psi_us: Annotated[int | None, "Time in which some task waited for a processor."] = None
    steal_ms: Annotated[int | None, "Time that a hypervisor gave to other guests."] = None
    wall_us: Annotated[int | None, "Length of the visit: a discarded call and the timed one."] = None
    involuntary_switches: Annotated[int | None, "How often the backend lost its processor."] = None


@dataclass(frozen=True)
class TimedCall:
    """A call of the interleaved rounds."""

    backend: Annotated[str, "Who was timed."]
    round: Annotated[int, "Number of the round; all backends answer the same clips in it."]
    position: Annotated[int, "Place of the backend in the round."]
    clip: Annotated[str, "The clip."]
    duration_s: Annotated[float, "Its length."]
    threads: Annotated[int, "CPU threads."]
    t_ns: Annotated[
        Mapping[str, int],
        "``e2e`` from a waveform in memory to the answer, ``cpu``, and the stages the backend names.",
    ]
    stages_agree: Annotated[
        bool | None,
        "Whether the stages make up the whole within 2 % or 50 microseconds; null without any.",
    ]
    contention: Annotated[Contention, "What other work took away."]
    contended: Annotated[
        bool,
        "Whether the hypervisor stole time, or tasks waited for more than 20 % of the visit.",
    ]


@dataclass(frozen=True)
class LoadRecord:
    """How a worker that was timed came up."""

    backend: Annotated[str, "Who."]
    threads: Annotated[int, "CPU threads."]
    load_seconds: Annotated[float, "Importing and loading."]
    first_call_ms: Annotated[float, "The first call."]
    warmup_calls: Annotated[int, "Calls until the time had settled."]


@dataclass(frozen=True)
class ColdSeconds:
    """Seconds of one start, files in the page cache."""

    interpreter: Annotated[float, "From the request for a process to the first line of Python."]
    imports: Annotated[float, "The backend's libraries."]
    load: Annotated[float, "The checkpoint."]
    first_prediction: Annotated[float, "The first answer."]
    total: Annotated[float, "All of it."]


@dataclass(frozen=True)
class ColdStart:
    """A fresh process, from nothing to its first answer."""

    backend: Annotated[str, "Who."]
    repeat: Annotated[int, "Number of the start."]
    seconds: Annotated[ColdSeconds, "How long its steps took."]


@dataclass(frozen=True)
class ResidentMemory:
    """Resident memory of a process and its children."""

    peak_rss_bytes: Annotated[int | None, "Its peak."] = None
    rss_bytes: Annotated[int | None, "At the end."] = None


@dataclass(frozen=True)
class MemoryByPhase:
    """Memory after each phase."""

    method: Annotated[str, "``clear_refs`` if the peak was reset between phases, else ``peak since start``."]
    start: Annotated[ResidentMemory, "The interpreter."]
    imports: Annotated[ResidentMemory, "The backend's libraries."]
    load: Annotated[ResidentMemory, "The checkpoint."]
    first_call: Annotated[ResidentMemory, "The first answer."]
    steady: Annotated[ResidentMemory, "Many answers."]


@dataclass(frozen=True)
class Cost:
    """How long a backend takes, for the plan."""

    load_s: Annotated[float, "Importing and loading."]
    call_s: Annotated[float, "One clip."]


@dataclass(frozen=True)
class Footprint:
    """Size and memory of a backend in a process of its own."""

    backend: Annotated[str, "Who."]
    zero_shot: Annotated[bool, "Whether it learned nothing of this task."]
    device: Annotated[str | None, "``cpu`` or the name of the accelerator."]
    parameters: Annotated[int | None, "Stored values of the model."]
    multiply_accumulates: Annotated[Mapping[str, int] | None, "By seconds of audio, ``0.42`` and ``1``."]
    checkpoint_bytes: Annotated[int | None, "Files that must be shipped, as the backend declares them."]
    opened_bytes: Annotated[int | None, "Files of the checkpoint that were really opened."]
    opened_files: Annotated[tuple[str, ...] | None, "Their names in the checkpoint."]
    runtime_bytes: Annotated[int | None, "Installed packages behind the imported modules."]
    runtime_packages: Annotated[Mapping[str, int] | None, "Package -> bytes."]
    peak_rss_bytes: Annotated[int | None, "Peak resident memory of the process and its children."]
    memory: Annotated[MemoryByPhase | None, "The same by phase."] = None
    cost: Annotated[Cost | None, "What the plan was made with."] = None
    weights: Annotated[
        str | None,
        "Hash of the checkpoint's files, of its name where it is no folder.",
    ] = None
