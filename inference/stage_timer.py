"""Where the time of a prediction goes: backends name their stages, a measurer collects them.

A backend writes ``with stage("model"):`` around its work. Nothing is kept unless somebody asked::

    with collect_stages() as stages_ns:
        backend.predict([waveform])
    # {"features": 210_000, "model": 480_000}
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The names in use, in the order of the work; "post" is what turns the output into a prediction.
STAGES = ("resample", "features", "model", "post")

_collector: ContextVar[dict[str, int] | None] = ContextVar("stages", default=None)


class stage:
    """Context manager that adds the time spent inside to the stage of that name.

    Stages must not be nested: the parts would count twice.

    Args:
        name: One of ``STAGES``.
    """

    __slots__ = ("_name", "_start")

    def __init__(self, name: str):
        assert name in STAGES, f"{name!r} is none of the stages {STAGES}"
        self._name = name

    def __enter__(self) -> None:
        self._start = time.perf_counter_ns()

    def __exit__(self, *exception: object) -> None:
        collected = _collector.get()
        if collected is not None:
            elapsed = time.perf_counter_ns() - self._start
            collected[self._name] = collected.get(self._name, 0) + elapsed


@contextmanager
def collect_stages() -> Iterator[dict[str, int]]:
    """Collects the stages of everything that runs inside, in nanoseconds by name."""
    collected: dict[str, int] = {}
    token = _collector.set(collected)
    try:
        yield collected
    finally:
        _collector.reset(token)
