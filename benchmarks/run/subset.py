"""A few clips that stand for many."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar


class Labelled(Protocol):
    """Anything with the two properties that a subset is balanced over."""

    @property
    def label(self) -> str | None:
        """The digit spoken."""

    @property
    def speaker(self) -> str:
        """Who spoke it."""


Clips = TypeVar("Clips", bound=Labelled)
Item = TypeVar("Item")


def stratified_subset(
    clips: Sequence[Clips], size: int, kind: Callable[[Clips], Any] = lambda clip: clip.label
) -> list[Clips]:
    """The first clips, as evenly over speakers and kinds as the size allows; order is kept.

    Clips are taken along the diagonals of the table speakers x kinds, so that even ten clips hold
    every label once and as many speakers as possible.

    Args:
        size: How many to take; all of them if there are no more.
        kind: What to balance over beside the speaker.
    """
    kinds = _positions(kind(clip) for clip in clips)
    speakers = _positions(clip.speaker for clip in clips)
    taken: dict[tuple[str, Any], int] = {}
    ranks = []
    for position, clip in enumerate(clips):
        cell = (clip.speaker, kind(clip))
        taken[cell] = taken.get(cell, -1) + 1
        diagonal = (speakers[clip.speaker] - kinds[kind(clip)]) % len(speakers)
        ranks.append((taken[cell], diagonal, kinds[kind(clip)], position))
    return [clips[rank[-1]] for rank in sorted(sorted(ranks)[:size], key=lambda rank: rank[-1])]


def _positions(values: Iterable[Any]) -> Mapping[Any, int]:
    return {value: position for position, value in enumerate(sorted(set(values)))}


def shuffled_forever(items: Sequence[Item], schedule: random.Random) -> Iterator[Item]:
    """Draws without replacement until all were drawn, again and again."""
    while True:
        yield from schedule.sample(items, len(items))
