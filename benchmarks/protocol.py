"""What is measured and on what: frozen settings, the chosen backends, the clips, the leak guard."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from inference.backends import BACKENDS, BackendSpec
from inference.errors import UserError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """How often and how patiently to measure.

    Attributes:
        seed: Seed of the split and of the order of the latency rounds.
        threads: CPU threads per backend.
        rounds: Latency rounds; 72 is the fewest that carry a 95th percentile.
        pool_size: Clips that the latency rounds draw from.
        load_timeout_s: Longest time a backend may take to load.
        clip_timeout_s: Longest time one prediction may take.
    """

    seed: int = 0
    threads: int = 1
    rounds: int = 72
    pool_size: int = 120
    load_timeout_s: float = 300.0
    clip_timeout_s: float = 30.0


@dataclass(frozen=True)
class Candidate:
    """A backend with the checkpoint it is measured with.

    Attributes:
        spec: Its row of the table of backends.
        checkpoint: Folder, Hub id or model size.
        leaked_clips: Test clips that its split card says it was trained on; None without a card.
        trained_on: The corpus that its split card names; None without a card.
        fixture: What it is a stand-in for, from its ``fixture.json``; None for a real checkpoint.
    """

    spec: BackendSpec
    checkpoint: str
    leaked_clips: int | None = None
    trained_on: str | None = None
    fixture: str | None = None

    @property
    def name(self) -> str:
        """What the backend is called in every table."""
        return self.spec.name


def choose_checkpoints(backends: Sequence[str], assignments: Sequence[str]) -> dict[str, str]:
    """Pairs every chosen backend with a checkpoint.

    Args:
        backends: Names of the table of backends.
        assignments: ``NAME=PATH`` as typed; backends without one get their default.

    Raises:
        UserError: If an assignment is malformed, names a backend that is not measured, or repeats;
            or if a backend repeats.
    """
    repeated = [name for name in dict.fromkeys(backends) if backends.count(name) > 1]
    if repeated:
        raise UserError(
            f"--backends names {', '.join(repeated)} more than once; a run measures each backend once, "
            "another --checkpoint of it needs a run with another --out."
        )
    chosen: dict[str, str] = {}
    for assignment in assignments:
        name, separator, checkpoint = assignment.partition("=")
        if not separator or not checkpoint.strip():
            raise UserError(f"--checkpoint {assignment}: expected NAME=PATH, as in wav2vec2=runs/my-model.")
        if name not in backends:
            raise UserError(
                f"--checkpoint {assignment}: {name!r} is not measured here; "
                f"choose one of: {', '.join(backends)} (see --backends)."
            )
        if name in chosen:
            raise UserError(
                f"--checkpoint gives {name} twice; measure one checkpoint per run and backend, "
                "with another --out for the second."
            )
        # The shell leaves a ~ behind the = as it is.
        chosen[name] = os.path.expanduser(checkpoint)
    return {name: chosen.get(name, BACKENDS[name].default_checkpoint) for name in backends}


def refuse_leaks(candidates: Sequence[Candidate]) -> None:
    """Stops before anything is measured on clips that a checkpoint was trained on.

    Raises:
        UserError: With the checkpoints, the number of clips and the ways out.
    """
    leaks = [candidate for candidate in candidates if candidate.leaked_clips]
    if not leaks:
        return
    lines = [
        f"{portable_path(candidate.checkpoint)} ({candidate.name}) was trained on "
        f"{candidate.leaked_clips} of the clips of this test split."
        for candidate in leaks
    ]
    others = " ".join(f"--checkpoint {candidate.name}=FOLDER" for candidate in leaks)
    raise UserError(
        "\n".join(lines) + "\nIts accuracy here would say nothing about new recordings. Either measure a "
        f"checkpoint that was trained on this split ({others}), choose the --protocol, --fold and --seed it "
        "was trained with, leave the backend out (--backends ...), or say --allow-leak: the row is then "
        "marked LEAK in every table."
    )


def portable_path(checkpoint: str) -> str:
    """A checkpoint as printed: relative to the project where it lies inside, otherwise as given."""
    path = Path(checkpoint)
    return path.relative_to(PROJECT_ROOT).as_posix() if path.is_relative_to(PROJECT_ROOT) else checkpoint


class Labelled(Protocol):
    """Anything with the two properties that a subset is balanced over."""

    @property
    def label(self) -> str:
        """The digit spoken."""

    @property
    def speaker(self) -> str:
        """Who spoke it."""


Clips = TypeVar("Clips", bound=Labelled)


def stratified_subset(clips: Sequence[Clips], size: int) -> list[Clips]:
    """The first clips, as evenly over speakers and labels as the size allows; order is kept.

    Clips are taken along the diagonals of the table speakers x labels, so that even ten clips hold
    every label once and as many speakers as possible.

    Args:
        clips: What to choose from.
        size: How many to take; all of them if there are no more.
    """
    labels = _positions(clip.label for clip in clips)
    speakers = _positions(clip.speaker for clip in clips)
    taken: dict[tuple[str, str], int] = {}
    ranks = []
    for position, clip in enumerate(clips):
        cell = (clip.speaker, clip.label)
        taken[cell] = taken.get(cell, -1) + 1
        diagonal = (speakers[clip.speaker] - labels[clip.label]) % len(speakers)
        ranks.append((taken[cell], diagonal, labels[clip.label], position))
    return [clips[rank[-1]] for rank in sorted(sorted(ranks)[:size], key=lambda rank: rank[-1])]


def _positions(values: Iterable[str]) -> Mapping[str, int]:
    return {value: position for position, value in enumerate(sorted(set(values)))}
