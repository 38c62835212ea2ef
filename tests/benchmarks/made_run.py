"""Writes a result folder from a seed and without any model."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records.files import (
    ANSWERS_FILE,
    COLD_FILE,
    FOOTPRINT_FILE,
    LATENCY_FILE,
    LOADS_FILE,
    RUN_FILE,
    encode,
    write_document,
)
from benchmarks.records.measurements import (
    AnswerRecord,
    ColdSeconds,
    ColdStart,
    Contention,
    Corruption,
    Footprint,
    LoadRecord,
    MemoryByPhase,
    ResidentMemory,
    TimedCall,
)
from benchmarks.records.run_record import (
    ConditionRecord,
    EntryProtocol,
    EntryRecord,
    Environment,
    MachineLoad,
    ProtocolRecord,
    RunRecord,
    Settings,
)
from inference.backends.transcripts import mapping_version
from inference.vocabulary import DIGITS

SPEAKERS = ("ann", "bob", "cat", "dan", "eve", "fay")
TAKES = 5
#: Backend -> family, mean accuracy, milliseconds, whether it saw no training clip.
BACKENDS: dict[str, tuple[str, float, float, bool]] = {
    "mfcc": ("mfcc", 0.87, 1.6, False),
    "wav2vec2": ("wav2vec2", 0.97, 7.0, False),
    "whisper:decode=constrained": ("whisper", 0.9, 250.0, True),
}
PROTOCOLS = (("official", False), ("loso", True))
CONDITIONS = [(family, level) for family in ("white", "babble") for level in (20.0, 10.0, 0.0)]
CLIPS = [
    (f"{label}_{speaker}_{take}", label, speaker)
    for label in DIGITS.labels
    for speaker in SPEAKERS
    for take in range(TAKES)
]
SOUNDS = [(f"{kind}_{number}", None, kind) for kind in ("silence", "reversed") for number in range(4)]


def make_run(folder: Path, seed: int = 0, rounds: int = 80, **changes: Any) -> Path:
    """Writes records that a run of ``BACKENDS`` could have left.

    Args:
        folder: Where they go.
        seed: Of every answer and time.
        rounds: Latency rounds.
        changes: Fields of ``run.json`` that differ.
    """
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_document(folder / RUN_FILE, replace(run_record(rounds), **changes))
    answers: list[AnswerRecord] = []
    for name, (_, accuracy, _, zero_shot) in BACKENDS.items():
        voices = {speaker: accuracy + generator.normal(0, 0.03) for speaker in SPEAKERS}
        for protocol, new_speakers in PROTOCOLS:
            for clip in CLIPS:
                rate = voices[clip[2]] + 0.02 * (not new_speakers)
                answers.append(answer(generator, name, protocol, "clean", clip, rate, zero_shot))
        for family, level in CONDITIONS:
            for clip in (clip for clip in CLIPS if clip[0].endswith("_0")):
                condition, rate = f"{family}@{level:g}", voices[clip[2]] - (20 - level) / 60
                made = answer(generator, name, "loso", condition, clip, rate, zero_shot)
                answers.append(replace(made, corruption=Corruption(level, 0.0, 0.0)))
        answers += [answer(generator, name, "loso", "rejection", clip, 0.5, zero_shot) for clip in SOUNDS]
    write_lines(folder / ANSWERS_FILE, answers)
    latency = [
        timed_call(generator, name, number, place, disturbance)
        for number in range(rounds)
        for disturbance in np.exp(generator.normal(0, 0.1, size=1))
        for place, name in enumerate(BACKENDS)
    ]
    write_lines(folder / LATENCY_FILE, latency)
    ms_of = {name: row[2] for name, row in BACKENDS.items()}
    write_lines(folder / LOADS_FILE, [LoadRecord(name, 1, ms / 10, 4 * ms, 10) for name, ms in ms_of.items()])
    starts = [
        ColdStart(name, repeat, ColdSeconds(0.05, 0.5, ms / 10, ms / 250, 0.55 + ms / 10 + repeat / 100))
        for name, ms in ms_of.items()
        for repeat in range(5)
    ]
    write_lines(folder / COLD_FILE, starts)
    write_lines(folder / FOOTPRINT_FILE, map(footprint, BACKENDS))
    return folder


def run_record(rounds: int) -> RunRecord:
    protocols = [
        ProtocolRecord(
            protocol=protocol,
            dataset="made",
            dataset_description=f"{len(CLIPS)} made-up clips",
            caption="leave one speaker out" if new_speakers else "the speakers of the training part",
            new_speakers=new_speakers,
            folds=SPEAKERS if new_speakers else (None,),
            fingerprint="0" * 16,
            test_clips=len(CLIPS),
            measured_clips=len(CLIPS),
        )
        for protocol, new_speakers in PROTOCOLS
    ]
    noisy = [
        ConditionRecord(f"{family}@{level:g}", family, level, "loso", 60) for family, level in CONDITIONS
    ]
    return RunRecord(
        run="made",
        command="python -m benchmarks.run",
        suite="standard",
        complete=True,
        phases=("accuracy", "latency", "cold", "memory", "size", "robustness"),
        settings=Settings(rounds=rounds),
        mapping_version=mapping_version(),
        skipped_for_budget=(),
        protocols=tuple(protocols),
        conditions=(
            ConditionRecord("clean", "clean", None, "loso", 60),
            *noisy,
            ConditionRecord("rejection", "rejection", None, "loso", len(SOUNDS)),
        ),
        backends=tuple(entry_record(name, family, row[-1]) for name, (family, *row) in BACKENDS.items()),
        environment=Environment(
            cpu="made-up processor",
            cores_allowed=2,
            os="Linux",
            python="3.11.7",
            libraries={"torch": "2.13.0"},
            commit="0" * 40,
            uncommitted_changes=False,
            load_before=MachineLoad((0.5, 0.4, 0.3)),
            hw="a" * 16,
            sw="b" * 16,
        ),
    )


def entry_record(name: str, family: str, zero_shot: Any) -> EntryRecord:
    learned = (None, None, None, False) if zero_shot else (0, "made", 2500, True)
    return EntryRecord(
        backend=name,
        family=family,
        options={},
        checkpoint=f"runs/{family}",
        summary=family,
        fixture=None,
        protocols={protocol: EntryProtocol("ok", None, *learned) for protocol, _ in PROTOCOLS},
        status="ok",
        reason=None,
        fix=None,
        failures=(),
    )


def answer(
    generator: np.random.Generator,
    backend: str,
    protocol: str,
    condition: str,
    clip: tuple[str, str | None, str],
    rate: float,
    zero_shot: bool,
) -> AnswerRecord:
    clip_id, label, speaker = clip
    words = {label: forms[0] for label, forms in DIGITS.spoken_forms.items()}
    wrong = [*(other for other in DIGITS.labels if other != label), None]
    said = label if generator.random() < rate else wrong[generator.integers(len(wrong))]
    return AnswerRecord(
        job="1" * 16,
        backend=backend,
        protocol=protocol,
        fold=speaker if protocol == "loso" else None,
        condition=condition,
        clip=clip_id,
        pcm_sha=clip_id.encode().hex()[:16].ljust(16, "0"),
        speaker=speaker,
        reference=label,
        duration_s=0.4,
        rms_dbfs=-30.0,
        corruption=None,
        mapping=mapping_version(),
        status="ok",
        error=None,
        label=said,
        score=round(float(generator.uniform(0.5, 1.0)), 3),
        hypothesis=words.get(said or "", "thank you") if zero_shot else None,
        refused="low_score" if generator.random() < 0.03 else None,
        t_ns={"e2e": 1_000_000, "cpu": 1_000_000},
    )


def timed_call(
    generator: np.random.Generator, name: str, number: int, place: int, disturbance: float
) -> TimedCall:
    e2e = int(BACKENDS[name][2] * 1e6 * disturbance * np.exp(generator.normal(0, 0.03)))
    return TimedCall(
        backend=name,
        round=number,
        position=place,
        clip="7_ann_0",
        duration_s=0.4,
        threads=1,
        t_ns={"e2e": e2e, "cpu": e2e, "features": e2e // 3, "model": e2e // 2, "post": e2e // 10},
        stages_agree=True,
        contention=Contention(),
        contended=bool(generator.random() < 0.1),
    )


def footprint(name: str) -> Footprint:
    _, _, ms, zero_shot = BACKENDS[name]
    return Footprint(
        backend=name,
        zero_shot=zero_shot,
        device="cpu",
        parameters=int(ms * 2e5),
        multiply_accumulates=None if zero_shot else {"0.42": int(ms * 1e6), "1": int(ms * 2e6)},
        checkpoint_bytes=int(ms * 8e5),
        opened_bytes=int(ms * 8e5),
        opened_files=("model.safetensors",),
        runtime_bytes=300_000_000,
        runtime_packages={"numpy": 100_000_000, "torch": 200_000_000},
        peak_rss_bytes=int(5e7 + ms * 2e6),
        memory=MemoryByPhase("clear_refs", *[ResidentMemory(60_000_000, 50_000_000)] * 5),
    )


def write_lines(path: Path, lines: Any) -> None:
    """Records, or what ``read_lines`` gave."""
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(json.dumps(line) + "\n" if isinstance(line, dict) else encode(line) for line in lines)


def read_lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [json.loads(line) for line in file]


def edited(folder: Path, name: str, change: Callable[[Any], None]) -> Path:
    """Changes a JSON document of a folder."""
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))
    return folder


def put(value: Any, *path: str | int) -> Callable[[Any], None]:
    """A change of a document: a value at a place in it."""

    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change
