"""Writes a result folder by the layout of ``results/README.md``, from a seed and without any model."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records.files import RECORD_VERSION
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
CONDITIONS = (
    ("white", 20.0),
    ("white", 10.0),
    ("white", 0.0),
    ("babble", 20.0),
    ("babble", 10.0),
    ("babble", 0.0),
)


def make_run(
    folder: Path,
    seed: int = 0,
    backends: Mapping[str, tuple[str, float, float, bool]] = BACKENDS,
    rounds: int = 80,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Writes records that a run of these backends could have left.

    Args:
        folder: Where they go.
        seed: Of every answer and time.
        backends: The rows.
        rounds: Latency rounds.
        changes: Fields of ``run.json`` that differ.
    """
    generator = np.random.default_rng(seed)
    run = run_document(backends, rounds) | dict(changes or {})
    write(folder / "run.json", run)
    write(folder / "environment.json", environment_document())
    clips = [
        (f"{label}_{speaker}_{take}", label, speaker)
        for label in DIGITS.labels
        for speaker in SPEAKERS
        for take in range(TAKES)
    ]
    splits = {
        protocol: {"all": {clip: f"{hash_of(clip)}" for clip, _, _ in clips}} for protocol, _ in PROTOCOLS
    }
    write(folder / "splits.json", {"v": RECORD_VERSION, "protocols": splits})
    for row in run["backends"]:
        if row["status"] == "unavailable":
            continue
        name, (_, accuracy, _, zero_shot) = row["backend"], backends[row["backend"]]
        voices = {speaker: accuracy + generator.normal(0, 0.03) for speaker in SPEAKERS}
        lines = [
            answer(
                generator,
                name,
                protocol,
                "clean",
                clip,
                voices[clip[2]] + 0.02 * (not new_speakers),
                zero_shot,
            )
            for protocol, new_speakers in PROTOCOLS
            for clip in clips
        ]
        lines += [
            answer(
                generator,
                name,
                "loso",
                f"{family}@{level:g}",
                clip,
                voices[clip[2]] - (20 - level) / 60,
                zero_shot,
                level,
            )
            for family, level in CONDITIONS
            for clip in clips
            if clip[0].endswith("_0")
        ]
        sounds = [(f"{kind}_{number}", None, kind) for kind in ("silence", "reversed") for number in range(4)]
        lines += [answer(generator, name, "loso", "rejection", sound, 0.5, zero_shot) for sound in sounds]
        write_lines(folder / row["answers"], lines)
    write_timings(folder, generator, run, backends, rounds)
    return folder


def run_document(backends: Mapping[str, tuple[str, float, float, bool]], rounds: int) -> dict[str, Any]:
    clips = len(DIGITS.labels) * len(SPEAKERS) * TAKES
    protocols = [
        {
            "protocol": protocol,
            "dataset": "made",
            "dataset_description": f"{clips} made-up clips",
            "caption": "leave one speaker out"
            if new_speakers
            else "the speakers of the test are those of the training part",
            "new_speakers": new_speakers,
            "folds": list(SPEAKERS) if new_speakers else [None],
            "fingerprint": "0" * 16,
            "test_clips": clips,
            "measured_clips": clips,
        }
        for protocol, new_speakers in PROTOCOLS
    ]
    return {
        "v": RECORD_VERSION,
        "run": "made",
        "command": "python -m benchmarks.run",
        "suite": "standard",
        "complete": True,
        "phases": ["accuracy", "latency", "cold", "memory", "size", "robustness"],
        "settings": {"seed": 0, "threads": 1, "rounds": rounds},
        "mapping_version": mapping_version(),
        "skipped_for_budget": [],
        "protocols": protocols,
        "conditions": [
            {"condition": "clean", "family": "clean", "level": None, "protocol": "loso", "clips": 60},
            *(
                {
                    "condition": f"{family}@{level:g}",
                    "family": family,
                    "level": level,
                    "protocol": "loso",
                    "clips": 60,
                }
                for family, level in CONDITIONS
            ),
            {"condition": "rejection", "family": "rejection", "level": None, "protocol": "loso", "clips": 8},
        ],
        "backends": [backend_document(name, *row) for name, row in backends.items()],
    }


def backend_document(name: str, family: str, accuracy: float, ms: float, zero_shot: bool) -> dict[str, Any]:
    told = {
        "status": "ok",
        "reason": None,
        "leaked_clips": None if zero_shot else 0,
        "trained_on": None if zero_shot else "made",
        "train_clips": None if zero_shot else 2500,
        "fold_checkpoints": not zero_shot,
    }
    return {
        "backend": name,
        "family": family,
        "options": {},
        "answers": f"records/{name.replace(':', '-').replace('=', '-')}.jsonl.gz",
        "checkpoint": f"runs/{family}",
        "summary": family,
        "fixture": None,
        "protocols": {protocol: dict(told) for protocol, _ in PROTOCOLS},
        "status": "ok",
        "reason": None,
        "fix": None,
        "failures": [],
    }


def environment_document() -> dict[str, Any]:
    return {
        "v": RECORD_VERSION,
        "cpu": "made-up processor",
        "cores_allowed": 2,
        "os": "Linux",
        "python": "3.11.7",
        "libraries": {"torch": "2.13.0"},
        "commit": "0" * 40,
        "uncommitted_changes": False,
        "load_before": {"load_average": [0.5, 0.4, 0.3]},
        "hw": "a" * 16,
        "sw": "b" * 16,
    }


def answer(
    generator: np.random.Generator,
    backend: str,
    protocol: str,
    condition: str,
    clip: tuple[str, str | None, str],
    rate: float,
    zero_shot: bool,
    snr_db: float | None = None,
) -> dict[str, Any]:
    clip_id, label, speaker = clip
    right = generator.random() < rate
    said = (
        label
        if right
        else str(generator.choice([*(other for other in DIGITS.labels if other != label), "none"]))
    )
    words = dict(
        zip(
            DIGITS.labels,
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
            strict=True,
        )
    )
    return {
        "v": RECORD_VERSION,
        "job": "1" * 16,
        "backend": backend,
        "protocol": protocol,
        "fold": speaker if protocol == "loso" else None,
        "condition": condition,
        "clip": clip_id,
        "pcm_sha": hash_of(clip_id),
        "speaker": speaker,
        "reference": label,
        "duration_s": 0.4,
        "rms_dbfs": -30.0,
        "corruption": None
        if snr_db is None
        else {"realised_snr_db": snr_db, "gain_db": 0.0, "clipped_share": 0.0},
        "mapping": mapping_version(),
        "status": "ok",
        "error": None,
        "label": None if said in ("none", None) else said,
        "score": round(float(generator.uniform(0.5, 1.0)), 3),
        "probabilities": None,
        "none_probability": None,
        "hypothesis": words.get(said or "none", "thank you") if zero_shot else None,
        "reason": None,
        "refused": "low_score" if generator.random() < 0.03 else None,
        "t_ns": {"e2e": 1_000_000, "cpu": 1_000_000},
    }


def write_timings(
    folder: Path,
    generator: np.random.Generator,
    run: dict[str, Any],
    backends: Mapping[str, tuple[str, float, float, bool]],
    rounds: int,
) -> None:
    latency, loads, cold, footprint = [], [], [], []
    measured = [row["backend"] for row in run["backends"] if row["status"] != "unavailable"]
    for number in range(rounds):
        disturbance = float(np.exp(generator.normal(0, 0.1)))
        for place, name in enumerate(measured):
            e2e = int(backends[name][2] * 1e6 * disturbance * np.exp(generator.normal(0, 0.03)))
            latency.append(
                {
                    "v": RECORD_VERSION,
                    "backend": name,
                    "round": number,
                    "position": place,
                    "clip": "7_ann_0",
                    "duration_s": 0.4,
                    "threads": 1,
                    "t_ns": {
                        "e2e": e2e,
                        "cpu": e2e,
                        "features": e2e // 3,
                        "model": e2e // 2,
                        "post": e2e // 10,
                    },
                    "stages_agree": True,
                    "contention": {},
                    "contended": bool(generator.random() < 0.1),
                }
            )
    for name in measured:
        _, _, ms, zero_shot = backends[name]
        loads.append(
            {
                "v": RECORD_VERSION,
                "backend": name,
                "threads": 1,
                "load_seconds": ms / 10,
                "first_call_ms": 4 * ms,
                "warmup_calls": 10,
            }
        )
        cold += [
            {
                "v": RECORD_VERSION,
                "backend": name,
                "repeat": repeat,
                "seconds": {
                    "interpreter": 0.05,
                    "imports": 0.5,
                    "load": ms / 10,
                    "first_prediction": ms / 250,
                    "total": 0.55 + ms / 10 + ms / 250 + repeat / 100,
                },
            }
            for repeat in range(5)
        ]
        memory = {"peak_rss_bytes": 60_000_000, "rss_bytes": 50_000_000}
        footprint.append(
            {
                "v": RECORD_VERSION,
                "backend": name,
                "zero_shot": zero_shot,
                "device": "cpu",
                "parameters": int(ms * 2e5),
                "multiply_accumulates": {"0.42": int(ms * 1e6), "1": int(ms * 2e6)}
                if not zero_shot
                else None,
                "checkpoint_bytes": int(ms * 8e5),
                "opened_bytes": int(ms * 8e5),
                "opened_files": ["model.safetensors"],
                "runtime_bytes": 300_000_000,
                "runtime_packages": {"numpy": 100_000_000, "torch": 200_000_000},
                "peak_rss_bytes": int(5e7 + ms * 2e6),
                "memory": {
                    "method": "clear_refs",
                    **{moment: memory for moment in ("start", "imports", "load", "first_call", "steady")},
                },
            }
        )
    for file, lines in (("latency", latency), ("loads", loads), ("cold", cold), ("footprint", footprint)):
        write_lines(folder / f"{file}.jsonl", lines)


def hash_of(clip: str) -> str:
    return clip.encode().hex()[:16].ljust(16, "0")


def write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


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
