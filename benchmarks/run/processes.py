"""The processes that share the answers of a run: one, or those that ``accelerate launch`` started."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

Item = TypeVar("Item")

#: Others wait while the first process fits baselines or measures backends.
PATIENCE = timedelta(hours=12)


class Processes:
    """This process alone; its methods have the names of accelerate's ``PartialState``.

    Attributes:
        rank: Number of this process; the first one does what cannot be shared.
    """

    rank = 0
    size = 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def split(self, items: list[Item]) -> Sequence[Item]:
        """This process's part of a list that is the same for all; every item is in one part."""
        return items

    def wait_for_everyone(self) -> None:
        """Returns when every process has come here."""

    def broadcast(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        return value


class LaunchedProcesses(Processes):
    """One of several processes, on one machine or several."""

    def __init__(self) -> None:
        from accelerate import PartialState

        # The backends compute in processes of their own: this one only passes lists around.
        self._state = PartialState(cpu=True, timeout=PATIENCE)
        self.rank = self._state.process_index
        self.size = self._state.num_processes

    def split(self, items: list[Item]) -> Sequence[Item]:
        """See ``Processes.split``; the parts are never padded with copies."""
        with self._state.split_between_processes(items, apply_padding=False) as part:
            return list(part)

    def wait_for_everyone(self) -> None:
        """See ``Processes.wait_for_everyone``."""
        self._state.wait_for_everyone()

    def broadcast(self, value: Any) -> Any:
        """See ``Processes.broadcast``."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]


def find_processes() -> Processes:
    """The processes that a launcher started, or this one alone."""
    return LaunchedProcesses() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Processes()
