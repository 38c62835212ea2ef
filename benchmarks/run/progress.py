"""What a run tells while it works, on standard error."""

import sys
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def say(line: str) -> None:
    """Tells what is being done."""
    sys.stderr.write(f"{line}\n")


def progress(items: Iterable[Item], unit: str = "clip") -> Iterable[Item]:
    """Shows how far a loop is and how long it will take; nothing where standard error is no terminal."""
    from tqdm import tqdm

    return tqdm(items, unit=unit, leave=False, disable=None)
